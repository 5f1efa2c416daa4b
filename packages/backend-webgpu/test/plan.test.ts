/** Plans against the eager run of the same function, and what cannot be planned. */
import { compile, dsconv2d } from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import '@dsconv/backend-webgpu';
import { constant, filter, testPlans } from '../../conformance/test/support/plans.js';
import { stateOf } from '../src/states.js';
import { useWebGPU } from './support/webgpu.js';

useWebGPU();

testPlans();

test('a shader that was switched off is the reason why a plan is eager', async () => {
  const { disabled } = stateOf(tf.backend() as WebGPUBackend);
  disabled.set('mean', "shader 'mean' computes something else");
  const x = constant([1, 2, 2, 4], 1);
  const plan = await compile((t) => tf.mean(tf.relu(t), [1, 2]), x);
  disabled.delete('mean');
  expect(plan.mode).toBe('eager');
  expect(plan.reason).toBe("shader 'mean' computes something else");
});

test('what a filter takes on the GPU is counted, held by plans, and given back', async () => {
  const bytes = () => (tf.memory() as unknown as { numBytesInDSConvFilters: number }).numBytesInDSConvFilters;
  const before = bytes();
  const f = filter([1, 1, 64, 64], 5);
  const x = constant([1, 3, 3, 64], 6);
  const body = (t: tf.Tensor) => dsconv2d(t as tf.Tensor4D, f, 1, 'valid');
  const plan = await compile(body, x);
  const wanted = [...(await body(x).data())];
  expect(bytes() - before).toBeLessThanOrEqual(1.1 * f.byteLength);
  f.dispose();
  expect([...(await ((await plan.run(x)) as tf.Tensor).data())]).toEqual(wanted);
  plan.dispose();
  expect(bytes()).toBe(before);
});
