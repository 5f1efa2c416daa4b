/** Gradients of whole functions through `tf.grads`, against the CPU backend. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { expect, test } from 'vitest';
import { onCuda } from './support/cuda.js';
import { type Given, onCpu, onDevice, onEachTier, positive, random } from './support/float-court.js';

onCuda();

onEachTier(() => {
  /** Values and bounds of gradients: relative to the largest, since each passes several sums. */
  async function sameGradients(f: (...inputs: tf.Tensor[]) => tf.Tensor, given: Given[]): Promise<void> {
    for (let n = 0; n < given.length; n++) {
      const body = (...inputs: tf.Tensor[]): tf.Tensor => tf.grads(f)(inputs)[n]!;
      const [found, wanted] = [onDevice(body, given), await onCpu(body, given)];
      expect(found.shape).toEqual(wanted.shape);
      const largest = wanted.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest, `gradient ${n} is not all zeros`).toBeGreaterThan(0);
      wanted.values.forEach((value, i) => {
        const error = Math.abs(found.values[i]! - value);
        if (!(error <= largest * 2 ** -17)) expect.fail(`gradient ${n}, value ${i} is off by ${error}`);
      });
    }
  }

  test('of a small network: convolutions, depthwise ones, a pool, a dense layer', async () => {
    const given = [
      random([2, 9, 9, 3], 1),
      random([3, 3, 3, 8], 2),
      random([3, 3, 8, 1], 3),
      random([1, 1, 8, 12], 4),
      random([2 * 2 * 12, 5], 5),
      random([5], 6),
    ];
    await sameGradients((...[x, first, depthwise, pointwise, dense, bias]) => {
      let y = tf.relu(tf.conv2d(x as tf.Tensor4D, first as tf.Tensor4D, 2, 'same'));
      y = tf.relu6(tf.depthwiseConv2d(y, depthwise as tf.Tensor4D, 1, 'same'));
      y = tf.maxPool(tf.conv2d(y, pointwise as tf.Tensor4D, 1, 'valid'), 2, 2, 'valid');
      const logits = tf.add(tf.matMul(tf.reshape(y, [2, -1]), dense!), bias!);
      return tf.mean(tf.square(logits));
    }, given);
  });

  test('of fused operators', async () => {
    const given = [
      random([2, 6, 6, 4], 1),
      random([3, 3, 4, 8], 2),
      random([8], 3),
      random([8, 6], 4),
      random([6], 5),
    ];
    await sameGradients((...[x, filter, bias, dense, last]) => {
      const y = tf.fused.conv2d({
        x: x as tf.Tensor4D,
        filter: filter as tf.Tensor4D,
        strides: 1,
        pad: 'same',
        bias: bias!,
        activation: 'relu',
      });
      const pooled = tf.reshape(tf.avgPool(y, 6, 1, 'valid'), [2, 8]);
      const z = tf.fused.matMul({
        a: pooled as tf.Tensor2D,
        b: dense as tf.Tensor2D,
        bias: last!,
        activation: 'relu',
      });
      return tf.sum(tf.mul(z, z));
    }, given);
  });

  test('of batch normalization by given statistics', async () => {
    const given = [
      random([2, 4, 4, 6], 1),
      random([6], 2),
      positive([6], 3, 0.5),
      random([6], 4),
      random([6], 5),
    ];
    await sameGradients(
      (...[x, mean, variance, offset, scale]) =>
        tf.sum(
          tf.square(
            tf.batchNorm(
              x as tf.Tensor4D,
              mean as tf.Tensor1D,
              variance as tf.Tensor1D,
              offset as tf.Tensor1D,
              scale as tf.Tensor1D,
            ),
          ),
        ),
      given,
    );
  });

  test('of products of batches', async () => {
    await sameGradients(
      (a, b) => tf.sum(tf.square(tf.matMul(a!, b!, false, true))),
      [random([3, 5, 7], 1), random([3, 6, 7], 2)],
    );
  });
});
