/** Losses are the same number on every backend, TensorFlow.js's own among them. */
import '@dsconv/backend-cpu';
import { selectBackend } from '@dsconv/core';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { describe, expect, test } from 'vitest';
import { labelLoss } from '../src/training/losses.js';
import { floats } from './support.js';

const [PICTURES, CLASSES] = [7, 5];
const logits = floats(PICTURES * CLASSES, 3, 4);
const classes = Int32Array.from({ length: PICTURES }, (_, n) => (3 * n) % CLASSES);

/** Cross-entropy in float64, and its gradient by the logits. */
function reference(smoothing: number): { loss: number; gradient: number[] } {
  let loss = 0;
  const gradient: number[] = [];
  classes.forEach((label, n) => {
    const row = [...logits.subarray(n * CLASSES, (n + 1) * CLASSES)];
    const sum = row.reduce((total, value) => total + Math.exp(value), 0);
    row.forEach((value, c) => {
      const wanted = (c === label ? 1 - smoothing : 0) + smoothing / CLASSES;
      loss -= (wanted * Math.log(Math.exp(value) / sum)) / PICTURES;
      gradient.push((Math.exp(value) / sum - wanted) / PICTURES);
    });
  });
  return { loss, gradient };
}

describe.each(['dsconv-cpu', 'cpu', 'wasm'])('%s', (backend) => {
  test.each([0, 0.1])('cross-entropy with a smoothing of %s', async (smoothing) => {
    if (backend === 'dsconv-cpu') await selectBackend([backend]);
    else await tf.setBackend(backend);
    const wanted = reference(smoothing);
    tf.tidy(() => {
      const x = tf.tensor2d(logits, [PICTURES, CLASSES]);
      const labels = tf.tensor1d(classes, 'int32');
      const loss = (values: tf.Tensor) => labelLoss(values as tf.Tensor2D, labels, smoothing);
      expect(loss(x).dataSync()[0]).toBeCloseTo(wanted.loss, 5);
      tf.grad(loss)(x)
        .dataSync()
        .forEach((value, n) => {
          expect(value).toBeCloseTo(wanted.gradient[n]!, 6);
        });
    });
  });
});
