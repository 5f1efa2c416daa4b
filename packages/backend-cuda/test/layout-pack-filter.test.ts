import {
  combinedScales,
  combinedShiftBias,
  DSConvFilter,
  fromFloat16Bits,
  toFloat16Bits,
} from '@dsconv/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { imageLayout } from '../src/layout/image.js';
import {
  chunksOf,
  containerBits,
  depthWord,
  outputWord,
  type PackedFilter,
  packFilter,
} from '../src/layout/pack-filter.js';

interface Shape {
  taps: [number, number];
  depth: number;
  outputs: number;
  groups: number;
  bits: number;
  blockSize: number;
}

const shapes = fc.record({
  taps: fc.constantFrom<[number, number]>([1, 1], [3, 3], [1, 2]),
  depth: fc.integer({ min: 16, max: 150 }),
  outputs: fc.integer({ min: 1, max: 40 }),
  groups: fc.integer({ min: 1, max: 3 }),
  bits: fc.integer({ min: 2, max: 8 }),
  blockSize: fc.constantFrom(1, 16, 32, 48, 64, 100, 200),
});

function filterOf(s: Shape, kinds: { kds: boolean; shifts: boolean; half: boolean }): DSConvFilter {
  const outputs = s.outputs * s.groups;
  const shape = [...s.taps, s.depth, outputs] as [number, number, number, number];
  const count = s.taps[0] * s.taps[1] * s.depth * outputs;
  const rows = s.taps[0] * s.taps[1] * Math.ceil(s.depth / s.blockSize) * outputs;
  const low = -(2 ** (s.bits - 1));
  const q = Int8Array.from({ length: count }, (_, n) => low + (((n * 2654435761) >>> 7) % 2 ** s.bits));
  const store = (length: number, seed: number) => {
    const values = Float32Array.from({ length }, (_, n) => ((n + seed) % 97) / 64 - 0.5);
    return kinds.half
      ? { format: 'float16' as const, data: Uint16Array.from(values, toFloat16Bits) }
      : { format: 'float32' as const, data: values };
  };
  return DSConvFilter.fromIntegers(
    {
      kind: 'conv2d',
      shape,
      bits: s.bits,
      blockSize: s.blockSize,
      kds: kinds.kds ? store(rows, 1) : undefined,
      cds: kinds.kds ? undefined : store(outputs, 2),
      kdsBias: kinds.kds && kinds.shifts ? store(rows, 3) : undefined,
      cdsBias: kinds.shifts ? store(outputs, 4) : undefined,
    },
    q,
  );
}

/** The integers of a packed filter, in the order of the filter. */
function unpacked(packed: PackedFilter, s: Shape): Int8Array {
  const { bits, weights, paddedOutputs } = packed;
  const outputs = s.outputs * s.groups;
  const taps = s.taps[0] * s.taps[1];
  const blockSize = Math.min(s.blockSize, s.depth);
  const chunks = chunksOf(taps, s.depth, blockSize);
  const out = new Int8Array(taps * s.depth * outputs);
  for (let n = 0; n < out.length; n++) {
    const o = n % outputs;
    const row = (n - o) / outputs;
    if (packed.form === 'rows') {
      const at = o * bits;
      const word = weights[(row * paddedOutputs * bits) / 32 + Math.floor(at / 32)]!;
      out[n] = (word << (32 - bits - (at % 32))) >> (32 - bits);
      continue;
    }
    const i = row % s.depth;
    const block = Math.floor(i / blockSize);
    const within = i - block * blockSize;
    const chunk = ((row - i) / s.depth) * chunks.group + block * chunks.block + Math.floor(within / 32);
    const pair = Math.floor(o / s.outputs) * (paddedOutputs / 16) + ((o % s.outputs) >> 4);
    const { word, bit } = depthWord(bits, chunk, within % 32);
    const value = weights[outputWord(bits, chunks.padded, pair, o % s.outputs) + word]!;
    out[n] = (value << (32 - bits - bit)) >> (32 - bits);
  }
  return out;
}

describe('packFilter', () => {
  it('loses no weight and puts none on another', () => {
    fc.assert(
      fc.property(shapes, (s) => {
        const filter = filterOf(s, { kds: true, shifts: false, half: true });
        const packed = packFilter(filter, s.groups);
        expect(packed.form).toBe('fragments');
        expect(unpacked(packed, s)).toEqual(filter.unpack());
        // Padding is zero: as many bits are set as the weights have.
        const ones = (words: Iterable<number>, mask: number) => {
          let count = 0;
          for (const word of words) for (let w = (word & mask) >>> 0; w !== 0; w &= w - 1) count++;
          return count;
        };
        expect(ones(packed.weights, -1)).toBe(ones(filter.unpack(), 2 ** containerBits(s.bits) - 1));
      }),
      { numRuns: 20 },
    );
  });

  it('lays filters of little depth and depthwise ones in rows', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 15 }), (any, depth) => {
        const s = { ...any, depth, groups: 1 };
        const filter = filterOf(s, { kds: false, shifts: false, half: true });
        const packed = packFilter(filter, 1);
        expect(packed.form).toBe('rows');
        expect(packed.scaleRows).toBe(1);
        expect(unpacked(packed, s)).toEqual(filter.unpack());
      }),
      { numRuns: 30 },
    );
    const q = Int8Array.from({ length: 9 * 5 * 2 }, (_, n) => (n % 16) - 8);
    const cds = { format: 'float32' as const, data: new Float32Array(10).fill(1) };
    const filter = DSConvFilter.fromIntegers(
      { kind: 'depthwise', shape: [3, 3, 5, 2], bits: 4, blockSize: 8, cds },
      q,
    );
    const packed = packFilter(filter, 1);
    expect(packed.form).toBe('rows');
    const like = {
      taps: [3, 3] as [number, number],
      depth: 1,
      outputs: 10,
      groups: 1,
      bits: 4,
      blockSize: 1,
    };
    expect(unpacked(packed, like)).toEqual(q);
  });

  it('keeps scales and shifts in place and in their format', () => {
    fc.assert(
      fc.property(shapes, fc.boolean(), fc.boolean(), fc.boolean(), (s, kds, shifts, half) => {
        const filter = filterOf(s, { kds, shifts, half });
        const packed = packFilter(filter, s.groups);
        expect(packed.scales instanceof Uint16Array).toBe(half);
        const rows = s.taps[0] * s.taps[1] * Math.ceil(s.depth / s.blockSize);
        const read = (from: Uint16Array | Float32Array, count: number) =>
          Float32Array.from({ length: count * s.outputs * s.groups }, (_, n) => {
            const o = n % (s.outputs * s.groups);
            const row = Math.floor(o / s.outputs) * count + (n - o) / (s.outputs * s.groups);
            const value = from[row * packed.paddedOutputs + (o % s.outputs)]!;
            return from instanceof Uint16Array ? fromFloat16Bits(value) : value;
          });
        expect(read(packed.scales, kds ? rows : 1)).toEqual(combinedScales(filter));
        expect(packed.shifts && read(packed.shifts, rows)).toEqual(combinedShiftBias(filter));
      }),
      { numRuns: 15 },
    );
  });

  it.each([2, 4, 8])('takes little more memory than the file at %i bits where shapes fit', (bits) => {
    const s = { taps: [3, 3] as [number, number], depth: 128, outputs: 64, groups: 1, bits, blockSize: 64 };
    const filter = filterOf(s, { kds: true, shifts: false, half: true });
    const packed = packFilter(filter, 1);
    expect(packed.weights.byteLength + packed.scales.byteLength).toBeLessThanOrEqual(1.1 * filter.byteLength);
  });
});

describe('imageLayout', () => {
  it('is plain NHWC where blocks are multiples of 32', () => {
    const layout = imageLayout(10, 128, { bits: 8, blockSize: 64 });
    expect(layout).toMatchObject({ blocks: 2, blockBytes: 64, pixelBytes: 128, scalesAt: 1280 });
    expect(layout.byteLength).toBe(1280 + 4 * 20);
  });

  it('fills every block up to 32 bytes', () => {
    const layout = imageLayout(3, 100, { bits: 8, blockSize: 20, groups: 2 });
    expect(layout).toMatchObject({
      blocks: 3,
      blockBytes: 32,
      groupBytes: 96,
      pixelBytes: 192,
      scalesAt: 768,
    });
    expect(imageLayout(1, 10, { bits: 8, blockSize: 64 })).toMatchObject({ blockSize: 10, blockBytes: 32 });
  });
});
