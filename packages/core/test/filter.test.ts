import { describe, expect, it, vi } from 'vitest';
import {
  DisposedError,
  DSConvFilter,
  type DSConvFilterParts,
  InvalidFilterError,
  toFloat16Bits,
} from '../src/index.js';

const float32 = (...values: number[]) => ({ format: 'float32' as const, data: Float32Array.from(values) });
const float16 = (...values: number[]) => ({
  format: 'float16' as const,
  data: Uint16Array.from(values, toFloat16Bits),
});

/** 1×1, depth 3 in blocks of 2, two outputs. */
const parts: Omit<DSConvFilterParts, 'vqk'> = {
  kind: 'conv2d',
  shape: [1, 1, 3, 2],
  bits: 4,
  blockSize: 2,
  kds: float32(0.5, 1, 2, 3),
};
const q = Int8Array.of(1, 2, -3, 4, 5, -8);

describe('DSConvFilter', () => {
  it('dequantizes by the formula of NUMERICS §2', () => {
    expect([...DSConvFilter.fromIntegers(parts, q).dequantize()]).toEqual([0.5, 2, -1.5, 4, 10, -24]);
    const full = DSConvFilter.fromIntegers(
      { ...parts, kdsBias: float16(1, 0, -1, 0.5), cds: float16(2, -1), cdsBias: float32(0.25, 10) },
      q,
    );
    expect([...full.dequantize()]).toEqual([3.25, 8, -0.75, 6, 18.25, 33.5]);
  });

  it('dequantizes a depthwise filter with the scale of each output', () => {
    const filter = DSConvFilter.fromIntegers(
      { kind: 'depthwise', shape: [1, 2, 2, 1], bits: 8, blockSize: 64, cds: float16(2, -0.5) },
      Int8Array.of(1, 2, 3, -128),
    );
    expect([...filter.dequantize()]).toEqual([2, -1, 6, 64]);
    expect([filter.outChannels, filter.blocks]).toEqual([2, 1]);
  });

  it('describes itself', () => {
    const filter = DSConvFilter.fromIntegers(parts, q);
    expect(filter).toMatchObject({
      size: 6,
      outChannels: 2,
      blocks: 2,
      bits: 4,
      blockSize: 2,
      byteLength: 3 + 16,
    });
    expect([...filter.vqk]).toEqual([0x21, 0x4d, 0x85]);
    expect([...filter.unpack()]).toEqual([...q]);
    expect(filter.scales('cds')).toBeNull();
    expect(Object.isFrozen(filter.shape)).toBe(true);
  });

  it('hands out copies of its scales', () => {
    const filter = DSConvFilter.fromIntegers(parts, q);
    filter.scales('kds')![0] = 99;
    expect(filter.scales('kds')![0]).toBe(0.5);
  });

  it('is gone after dispose, and tells those who asked, once', () => {
    const filter = DSConvFilter.fromIntegers(parts, q);
    const told = vi.fn();
    filter.onDispose(told);
    expect(filter.isDisposed).toBe(false);
    filter.dispose();
    filter.dispose();
    expect(told).toHaveBeenCalledTimes(1);
    expect(filter.isDisposed).toBe(true);
    const late = vi.fn();
    filter.onDispose(late);
    expect(late).toHaveBeenCalledTimes(1);
    const uses = [
      () => filter.vqk,
      () => filter.unpack(),
      () => filter.scales('kds'),
      () => filter.stored('kds'),
      () => filter.dequantize(),
      () => filter.byteLength,
    ];
    for (const use of uses) {
      expect(use).toThrow(new DisposedError('a conv2d filter of shape [1,1,3,2] was used after dispose()'));
    }
  });

  it('refuses parts that do not fit', () => {
    const make = (change: object) => () =>
      new DSConvFilter({ ...parts, vqk: new Uint8Array(3), ...change } as DSConvFilterParts);
    expect(make({})).not.toThrow();
    const cases: [object, string][] = [
      [{ kind: 'dense' }, "kind is dense; expected 'conv2d' or 'depthwise'"],
      [{ shape: [1, 1, 3] }, 'shape is [1,1,3]; expected four positive integers'],
      [{ shape: [1, 1, 3, 0] }, 'shape is [1,1,3,0]; expected four positive integers'],
      [{ bits: 9 }, 'bits is 9; expected an integer from 2 to 8'],
      [{ bits: 2.5 }, 'bits is 2.5; expected an integer from 2 to 8'],
      [{ blockSize: 0 }, 'blockSize is 0; expected a positive integer'],
      [{ vqk: new Uint8Array(4) }, 'vqk has 4 bytes; expected 3 for 6 weights of 4 bits'],
      [{ vqk: undefined }, 'vqk has undefined bytes; expected 3 for 6 weights of 4 bits'],
      [
        { kds: undefined, kdsBias: float32(1, 1, 1, 1) },
        'kdsBias is given without kds; expected both or only kds',
      ],
      [{ kds: undefined }, 'neither kds nor cds is given; expected scales per block or per channel'],
      [{ kds: float32(1, 1) }, 'kds has 2 values; expected 4'],
      [{ cds: float32(1) }, 'cds has 1 values; expected 2'],
      [{ kds: float32(1, NaN, 1, 1) }, 'kds[1] is NaN; expected a finite number'],
      [{ cdsBias: float16(1e9, 1) }, 'cdsBias[0] is Infinity; expected a finite number'],
      [
        { kds: { format: 'float16', data: new Float32Array(4) } },
        'kds has format float16 and data Float32Array; expected float16 in a Uint16Array or float32 in a Float32Array',
      ],
      [
        { kind: 'depthwise', vqk: new Uint8Array(3) },
        'a depthwise filter has kds, kdsBias or cdsBias; expected cds alone',
      ],
    ];
    for (const [change, message] of cases) {
      expect(make(change)).toThrow(new InvalidFilterError(message));
    }
  });
});
