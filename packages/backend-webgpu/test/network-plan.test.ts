/** The network that the models package brings along, as a plan on the GPU, against the CPU. */
import '@dsconv/backend-cpu';
import '@dsconv/backend-webgpu';
import { compile, getDSConvBackend, selectBackend } from '@dsconv/core';
import { loadModel } from '@dsconv/models';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useWebGPU } from './support/webgpu.js';

useWebGPU();

const BATCH = 3;

const pictures = () =>
  tf.tensor4d(
    Float32Array.from({ length: BATCH * 28 * 28 }, (_, n) => Math.sin(n * 0.13) * Math.cos(n * 0.007)),
    [BATCH, 28, 28, 1],
  );

test('a residual network gives the same logits on the GPU', { timeout: 240_000 }, async () => {
  await selectBackend([getDSConvBackend('dsconv-cpu')!.pinTier!('wasm-simd')]);
  const reference = await loadModel('resnet20.fashion_mnist');
  const wanted = (await reference.logits(pictures()).data()) as Float32Array;
  await tf.setBackend('webgpu');
  const network = await loadModel('resnet20.fashion_mnist');
  const x = pictures();
  const plan = await compile((input) => network.logits(input as tf.Tensor4D), x);
  expect(plan.reason).toBeNull();
  const runs = await Promise.all([plan.run(x), plan.run(x)]);
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (const run of runs) {
    const found = await (run as tf.Tensor).data();
    // A value next to a rounding boundary may fall on either side of it, and differ by one step of its block from there on.
    for (let n = 0; n < wanted.length; n++) {
      expect(Math.abs(found[n]! - wanted[n]!) / largest, `logit ${n}`).toBeLessThan(0.02);
    }
  }
  plan.dispose();
});
