/** Shaders that plans have for one kind of convolutions each, on adapters where that pays. */
import '@dsconv/backend-webgpu';
import {
  captureAsync,
  compilePlan,
  dsconv2d,
  dsDepthwiseConv2d,
  quantizeDepthwiseFilter,
} from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { constant, filter } from '../../conformance/test/support/plans.js';
import type { GpuState } from '../src/gpu/state.js';
import { stateOf } from '../src/states.js';
import { useWebGPU } from './support/webgpu.js';

useWebGPU();

const state = () => stateOf(tf.backend() as WebGPUBackend);
const [narrow, wide, last] = [
  filter([1, 1, 32, 12], 1),
  filter([3, 3, 12, 256], 2),
  filter([1, 1, 256, 40], 3),
];
const depthwise = quantizeDepthwiseFilter(
  Float32Array.from({ length: 9 * 256 }, (_, n) => Math.sin(n)),
  [3, 3, 256, 1],
  { bits: 8, blockSize: 64 },
);

/** More products than it takes, every epilogue, three widths, both strides of depthwise rows. */
function body(input: tf.Tensor): tf.Tensor {
  const relu = { activation: 'relu' as const };
  const a = dsconv2d(input as tf.Tensor4D, narrow, 1, 'same', { activation: 'relu6' });
  const b = dsconv2d(a, wide, 1, 'same', relu);
  const c = dsDepthwiseConv2d(b, depthwise, 1, 'same', { activation: 'relu6' });
  const d = dsDepthwiseConv2d(c, depthwise, 2, 'same', relu);
  const e = dsDepthwiseConv2d(d, depthwise, 1, 'same', { residual: d });
  return dsconv2d(e, last, 1, 'valid', { activation: 'silu' });
}

const picture = () => constant([1, 72, 70, 32], 7);

/** Compiles the plan, and says which shaders it has. */
async function plan(current: GpuState) {
  const x = picture();
  const shaders: string[] = [];
  const made = await compilePlan(await captureAsync(body, x), {
    onProgress: (_done, _total, shader) => void shaders.push(shader),
  });
  expect(made.reason).toBeNull();
  const found = [...(await ((await made.run(x)) as tf.Tensor).data())];
  made.dispose();
  const { disabled } = current;
  return { found, special: shaders.filter((key) => /, plain [01]/.test(key) && !disabled.has(key)) };
}

test('a large plan computes what the operators compute, with shaders of its own', {
  timeout: 240_000,
}, async () => {
  const current = state();
  const { tier } = current;
  current.tier = 'wide';
  const wanted = [...(await body(picture()).data())];
  const { found, special } = await plan(current);
  expect(found).toEqual(wanted);
  expect(special.length).toBeGreaterThanOrEqual(6);
  expect([...current.disabled]).toEqual([]);
  current.tier = 'tile';
  expect((await plan(current)).special).toEqual([]);
  current.tier = tier;
});

test('one that computes something else is switched off, and the general one serves', {
  timeout: 240_000,
}, async () => {
  const current = state();
  const { device, tier } = current;
  current.tier = 'wide';
  const wanted = [...(await body(picture()).data())];
  // As if nothing had been compiled and tested on this device.
  for (const key of [...current.tests.keys()].filter((name) => name.includes('plain')))
    current.tests.delete(key);
  Reflect.set(current.pipelines, 'pipelines', new Map());
  Reflect.set(current.pipelines, 'pending', new Map());
  const create = device.createComputePipelineAsync.bind(device);
  device.createComputePipelineAsync = (descriptor) => {
    const { constants } = descriptor.compute;
    const wrong = descriptor.label?.includes('writes 2')
      ? { ...constants, PLAIN: 1, WEIGHT_BITS: 2 }
      : constants;
    return create({ ...descriptor, compute: { ...descriptor.compute, ...(wrong && { constants: wrong }) } });
  };
  try {
    const { found } = await plan(current);
    expect(found).toEqual(wanted);
    const reasons = [...current.disabled.values()];
    expect(reasons.length).toBeGreaterThanOrEqual(3);
    for (const reason of reasons)
      expect(reason).toMatch(/^shader '.*writes 2.*' (computes|writes something else)/);
  } finally {
    device.createComputePipelineAsync = create;
    current.disabled.clear();
    current.tier = tier;
  }
});
