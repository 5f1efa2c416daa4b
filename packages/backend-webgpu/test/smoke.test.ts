import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { setWebGPU, useWebGPU } from './support/webgpu.js';

useWebGPU();

it("computes TensorFlow.js' own product on the device", async () => {
  const { device } = await setWebGPU();
  const before = tf.memory().numTensors;
  const product = tf.tidy(() =>
    tf.matMul(tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]), tf.tensor2d([7, 8, 9, 10, 11, 12], [3, 2])),
  );
  expect([...(await product.data())]).toEqual([58, 64, 139, 154]);
  product.dispose();
  expect(tf.memory().numTensors).toBe(before);
  expect(device.features.size).toBeGreaterThan(0);
});

it('has a shading language with packed integer products', () => {
  expect([...navigator.gpu.wgslLanguageFeatures]).toContain('packed_4x8_integer_dot_product');
});
