import '@tensorflow/tfjs-backend-cpu';
import {
  concat,
  conv2d,
  depthwiseConv2d,
  pad as padTensor,
  slice,
  type Tensor4D,
  tensor4d,
} from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { activate, DSConvFilter, referenceDSConv2d, resolveGeometry } from '../src/index.js';

const float32 = (...values: number[]) => ({ format: 'float32' as const, data: Float32Array.from(values) });
const whole = (length: number, high = 9) =>
  fc
    .array(fc.integer({ min: -high, max: high }), { minLength: length, maxLength: length })
    .map((values) => Float32Array.from(values));

describe('referenceDSConv2d', () => {
  it('computes an example by hand', () => {
    // One pixel of 3 channels in blocks of 2 and 1; m = 8. Block 0 holds 3 and -1: E = 1, scale = 2^-5, M = 96, -32.
    // Block 1 holds 0.5: E = -1, scale = 2^-7, M = 64.
    // P = 96*2 - (-32)*3... with q = [2, -3 | 4]: P0 = 192 + 96 = 288, P1 = 256; ΣM0 = 64, ΣM1 = 64.
    const filter = DSConvFilter.fromIntegers(
      {
        kind: 'conv2d',
        shape: [1, 1, 3, 1],
        bits: 4,
        blockSize: 2,
        kds: float32(0.5, 2),
        kdsBias: float32(1, -1),
        cds: float32(3),
        cdsBias: float32(0.25),
      },
      Int8Array.of(2, -3, 4),
    );
    const geometry = resolveGeometry({
      inputShape: [1, 1, 1, 3],
      kernelSize: [1, 1],
      outChannels: 1,
      strides: 1,
      pad: 'valid',
    });
    const inputs = {
      x: Float32Array.of(3, -1, 0.5),
      bias: Float32Array.of(10),
      residual: Float32Array.of(-100),
    };
    const result = referenceDSConv2d(inputs, filter, { geometry, activationBits: 8 });
    // 10 + [3*0.5*9 + (3*1 + 0.25)*2] + [3*2*2 + (-3 + 0.25)*0.5] - 100
    expect(result.output[0]).toBe(10 + 13.5 + 6.5 + 12 - 1.375 - 100);
    expect(result.terms[0]).toBe(8);
    expect(result.magnitude[0]).toBe(10 + 13.5 + 6 + 0.5 + 12 + 1.5 + 0.125 + 100);
    const leaky = { geometry, activationBits: 8, activation: 'leakyrelu', leakyreluAlpha: 0.5 } as const;
    expect(referenceDSConv2d(inputs, filter, leaky).output[0]).toBe((10 + 30.625 + 0 - 100) / 2);
  });

  it('equals tf.conv2d for whole numbers: strides, dilations, paddings, groups, bits', async () => {
    const call = fc
      .record({
        batch: fc.integer({ min: 1, max: 2 }),
        size: fc.tuple(fc.integer({ min: 4, max: 7 }), fc.integer({ min: 4, max: 7 })),
        kernel: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
        groups: fc.integer({ min: 1, max: 3 }),
        depth: fc.integer({ min: 1, max: 5 }),
        perGroup: fc.integer({ min: 1, max: 3 }),
        strides: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 })),
        dilation: fc.integer({ min: 1, max: 2 }),
        pads: fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3)),
        activationBits: fc.constantFrom(8, null),
      })
      .chain((c) => {
        const length = c.batch * c.size[0] * c.size[1] * c.groups * c.depth;
        const weights = c.kernel[0] * c.kernel[1] * c.depth * c.groups * c.perGroup;
        return fc.tuple(fc.constant(c), whole(length), whole(weights, 7));
      });
    await fc.assert(
      fc.asyncProperty(call, async ([c, x, w]) => {
        const outChannels = c.groups * c.perGroup;
        const shape = [...c.kernel, c.depth, outChannels] as [number, number, number, number];
        const kds = new Float32Array(c.kernel[0] * c.kernel[1] * Math.ceil(c.depth / 2) * outChannels).fill(
          1,
        );
        const filter = DSConvFilter.fromIntegers(
          { kind: 'conv2d', shape, bits: 4, blockSize: 2, kds: { format: 'float32', data: kds } },
          Int8Array.from(w),
        );
        const inputShape = [c.batch, ...c.size, c.groups * c.depth] as [number, number, number, number];
        const [top, bottom, left, right] = c.pads;
        const geometry = resolveGeometry({
          inputShape,
          kernelSize: c.kernel,
          outChannels,
          strides: c.strides,
          dilations: c.dilation,
          pad: [
            [top, bottom],
            [left, right],
          ],
          groups: c.groups,
        });
        const { output } = referenceDSConv2d({ x }, filter, { geometry, activationBits: c.activationBits });
        // Stock conv2d knows no stride with dilation: every output is computed and every stride-th taken.
        const padded = padTensor(tensor4d(x, inputShape), [
          [0, 0],
          [top, bottom],
          [left, right],
          [0, 0],
        ]);
        const filterTensor = tensor4d(w, shape);
        const parts = Array.from({ length: c.groups }, (_, g) =>
          conv2d(
            slice(padded, [0, 0, 0, g * c.depth], [-1, -1, -1, c.depth]) as Tensor4D,
            slice(filterTensor, [0, 0, 0, g * c.perGroup], [-1, -1, -1, c.perGroup]) as Tensor4D,
            1,
            'valid',
            'NHWC',
            c.dilation,
          ),
        );
        const dense = concat(parts, 3);
        const wanted: number[] = [];
        const values = (await dense.array()) as number[][][][];
        for (const image of values) {
          for (let h = 0; h < image.length; h += c.strides[0]) {
            for (let v = 0; v < image[h]!.length; v += c.strides[1]) wanted.push(...image[h]![v]!);
          }
        }
        expect([...output].map((value) => value + 0)).toEqual(wanted.map((value) => value + 0));
      }),
      { numRuns: 60 },
    );
  });

  it('equals tf.depthwiseConv2d for whole numbers', async () => {
    for (const [multiplier, strides] of [
      [1, 2],
      [2, 1],
      [3, 1],
    ] as const) {
      const channels = 5;
      const x = Float32Array.from({ length: 5 * 6 * channels }, (_, n) => ((n * 37) % 41) - 20);
      const q = Int8Array.from({ length: 9 * channels * multiplier }, (_, n) => ((n * 29) % 31) - 15);
      const ones = new Float32Array(channels * multiplier).fill(1);
      const shape = [3, 3, channels, multiplier] as [number, number, number, number];
      const filter = DSConvFilter.fromIntegers(
        { kind: 'depthwise', shape, bits: 8, blockSize: 3, cds: { format: 'float32', data: ones } },
        q,
      );
      const geometry = resolveGeometry({
        inputShape: [1, 5, 6, channels],
        kernelSize: [3, 3],
        outChannels: channels * multiplier,
        strides,
        pad: 'same',
      });
      const { output } = referenceDSConv2d({ x }, filter, { geometry, activationBits: 8 });
      const wanted = depthwiseConv2d(
        tensor4d(x, [1, 5, 6, channels]),
        tensor4d([...q], shape),
        strides,
        'same',
      );
      expect([...output]).toEqual([...(await wanted.data())]);
    }
  });

  it('turns every output that reads a NaN block into NaN and no other', () => {
    const filter = DSConvFilter.fromIntegers(
      { kind: 'conv2d', shape: [1, 2, 2, 2], bits: 4, blockSize: 1, kds: float32(...Array(8).fill(1)) },
      Int8Array.of(0, 1, 1, 1, 1, 1, 1, 1),
    );
    const geometry = resolveGeometry({
      inputShape: [1, 1, 4, 2],
      kernelSize: [1, 2],
      outChannels: 2,
      strides: 1,
      pad: 'valid',
    });
    const x = Float32Array.of(1, 1, NaN, 1, 1, 1, 1, 1);
    const { output } = referenceDSConv2d({ x }, filter, { geometry, activationBits: 8, activation: 'relu' });
    expect([...output].map(Number.isNaN)).toEqual([true, true, true, true, false, false]);
  });
});

describe('activate', () => {
  it('is what TensorFlow.js means by the names', () => {
    expect([-2, 0, 3].map((v) => activate(v, 'linear', 9))).toEqual([-2, 0, 3]);
    expect([-2, 0, 3].map((v) => activate(v, 'relu', 9))).toEqual([0, 0, 3]);
    expect([-2, 6, 7].map((v) => activate(v, 'relu6', 9))).toEqual([0, 6, 6]);
    expect([-2, 0, 3].map((v) => activate(v, 'leakyrelu', 0.5))).toEqual([-1, 0, 3]);
    expect([-2, 0, 3].map((v) => activate(v, 'prelu', -3))).toEqual([6, 0, 3]);
    expect(activate(1, 'silu', 9)).toBeCloseTo(0.7310585786300049, 15);
    expect([-Infinity, -1e308, Infinity].map((v) => activate(v, 'silu', 9) + 0)).toEqual([0, 0, Infinity]);
  });

  it('swallows no NaN', () => {
    for (const activation of ['linear', 'relu', 'relu6', 'silu', 'leakyrelu', 'prelu'] as const) {
      expect(activate(NaN, activation, 0.5)).toBeNaN();
    }
  });
});
