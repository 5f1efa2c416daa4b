/** Every fast shader against the naive one beside it and against the reference, on geometries that nobody thought of. */
import { type GpuTier, TIERS } from '@dsconv/backend-webgpu';
import {
  type DSConvFilter,
  dsconv2d,
  dsDepthwiseConv2d,
  quantizeDepthwiseFilter,
  quantizeFilter,
  referenceDSConv2d,
  resolveGeometry,
} from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { whyNotTier } from '../src/adapter.js';
import { stateOf } from '../src/states.js';
import { useWebGPU } from './support/webgpu.js';

useWebGPU();

const state = () => stateOf(tf.backend() as WebGPUBackend);
let chosen: GpuTier | undefined;
afterAll(() => {
  if (chosen) state().tier = chosen;
});

const dilated = { min: 1, max: 2 };
const geometries = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  height: fc.integer({ min: 3, max: 7 }),
  width: fc.integer({ min: 3, max: 7 }),
  depth: fc.integer({ min: 1, max: 70 }),
  groups: fc.integer({ min: 1, max: 2 }),
  outputs: fc.integer({ min: 1, max: 70 }),
  kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  stride: fc.tuple(fc.integer(dilated), fc.integer(dilated)),
  dilation: fc.tuple(fc.integer(dilated), fc.integer(dilated)),
  pad: fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)),
  bits: fc.constantFrom(2, 3, 4, 6, 8),
  blockSize: fc.constantFrom(5, 16, 32, 64, 128),
  activationBits: fc.constantFrom(4, 8, null),
  seed: fc.nat(1000),
});
type Geometry = typeof geometries extends fc.Arbitrary<infer T> ? T : never;

const values = (length: number, seed: number) => {
  let s = seed + 1;
  return Float32Array.from({ length }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 31 - 1;
  });
};

/** Holds `run` on every tier to the bound of NUMERICS §5 for each output. */
async function hold(c: Geometry, filter: DSConvFilter, groups: number, tiers: readonly GpuTier[]) {
  const { batch, height, width, activationBits } = c;
  const channels = filter.kind === 'depthwise' ? filter.shape[2] : filter.shape[2] * groups;
  const inputShape: [number, number, number, number] = [batch, height + 4, width + 4, channels];
  const pad = [
    [c.pad[0], c.pad[1]],
    [c.pad[2], c.pad[3]],
  ] as const;
  const { stride: strides, dilation: dilations } = c;
  const outChannels = filter.outChannels;
  const geometry = resolveGeometry({
    inputShape,
    kernelSize: c.kernel,
    outChannels,
    strides,
    dilations,
    pad,
    groups,
  });
  const x = values(tf.util.sizeFromShape(inputShape), c.seed);
  const bias = values(outChannels, c.seed + 1);
  const wanted = referenceDSConv2d({ x, bias }, filter, { geometry, activationBits });
  for (const tier of tiers) {
    state().tier = tier;
    const y = tf.tidy(() => {
      const options = { dilations, bias: tf.tensor1d(bias), activationBits };
      const input = tf.tensor4d(x, inputShape);
      return filter.kind === 'depthwise'
        ? dsDepthwiseConv2d(input, filter, strides, pad, options)
        : dsconv2d(input, filter, strides, pad, { ...options, groups });
    });
    const found = await y.data();
    y.dispose();
    for (let n = 0; n < found.length; n++) {
      const bound = 4 * wanted.terms[n]! * 2 ** -24 * wanted.magnitude[n]!;
      if (!(Math.abs(found[n]! - wanted.output[n]!) <= bound)) {
        expect.fail(`${tier}: output ${n} is ${found[n]}; expected ${wanted.output[n]} within ${bound}`);
      }
    }
  }
  filter.dispose();
}

const usable = () => TIERS.filter((tier) => whyNotTier(tier) === null);

test('convolutions on every tier', { timeout: 240_000 }, async () => {
  chosen ??= state().tier;
  state().tier = chosen;
  const tiers = usable();
  const property = fc.asyncProperty(geometries, (c) => {
    const shape: [number, number, number, number] = [...c.kernel, c.depth, c.outputs * c.groups];
    const weights = values(tf.util.sizeFromShape(shape), c.seed + 2);
    const filter = quantizeFilter(weights, shape, {
      bits: c.bits,
      blockSize: c.blockSize,
      method: 'absmax',
      ...(c.seed % 3 === 0 && { kdsBias: true, perChannel: false }),
    });
    return hold(c, filter, c.groups, tiers);
  });
  await fc.assert(property, { numRuns: 12 });
});

test('depthwise convolutions', { timeout: 240_000 }, async () => {
  chosen ??= state().tier;
  const property = fc.asyncProperty(geometries, (c) => {
    const shape: [number, number, number, number] = [...c.kernel, c.depth, c.groups];
    const weights = values(tf.util.sizeFromShape(shape), c.seed + 2);
    const { bits, blockSize } = c;
    return hold(c, quantizeDepthwiseFilter(weights, shape, { bits, blockSize }), 1, [chosen!]);
  });
  await fc.assert(property, { numRuns: 12 });
});
