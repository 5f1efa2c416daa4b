/** Batch normalization: by given statistics against TensorFlow.js's CPU backend, by the batch's own against the formulas in float64. */
import { batchMoments, normalizeBatch } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batchNormKernels } from '../src/kernels/batch-norm.js';
import { onCuda } from './support/cuda.js';
import {
  expectClose,
  expectEqual,
  integers,
  odd,
  onCpu,
  onDevice,
  onEachTier,
  positive,
  random,
} from './support/float-court.js';

onCuda();

onEachTier((plain) => {
  test('are kernels of this backend', () => {
    for (const { kernelName, kernelFunc } of batchNormKernels) {
      expect(tf.getKernel(kernelName, tf.getBackend()).kernelFunc).toBe(kernelFunc);
    }
  });

  const fused = (...[x, mean, variance, offset, scale]: tf.Tensor[]): tf.Tensor =>
    tf.batchNorm(
      x!,
      mean as tf.Tensor1D,
      variance as tf.Tensor1D,
      offset as tf.Tensor1D,
      scale as tf.Tensor1D,
      0.01,
    );

  /** The same without signs, of magnitudes: the largest that x - mean can be. */
  const magnitude = (...[x, mean, variance, offset, scale]: tf.Tensor[]): tf.Tensor =>
    tf.add(tf.div(tf.mul(tf.add(x!, mean!), scale ?? 1), tf.sqrt(tf.add(variance!, 0.01))), offset ?? 0);

  test('by given statistics', async () => {
    for (const c of [1, 3, 4, 20]) {
      for (const shape of [
        [2, 3, 4, c],
        [5, c],
        [3, 2, c],
      ]) {
        const given = [random(shape, 1), random([c], 2), positive([c], 3), random([c], 4), random([c], 5)];
        await expectClose(fused, given, { terms: 6, magnitude });
        await expectClose(fused, given.slice(0, 3), { terms: 6, magnitude });
        await expectClose(fused, given.slice(0, 4), { terms: 6, magnitude });
        const whole = [
          random(shape, 1),
          random(shape, 2),
          positive(shape, 3),
          random(shape, 4),
          random(shape, 5),
        ];
        await expectClose(fused, whole, { terms: 6, magnitude });
      }
    }
  });

  test('what is not finite stays', async () => {
    const one = { shape: [4], values: Float32Array.of(1, 1, 1, 1) };
    const body = (...[x, mean, variance]: tf.Tensor[]): tf.Tensor =>
      tf.batchNorm(x!, mean as tf.Tensor1D, variance as tf.Tensor1D, undefined, undefined, 0);
    await expectEqual(body, [odd(integers([6, 4], 1), 2, 0.3), odd(integers([4], 3), 4, 0.3), one]);
  });

  test('of int32 is left to the CPU', async () => {
    const body = (...[x, mean]: tf.Tensor[]): tf.Tensor =>
      tf.batchNorm(tf.cast(x!, 'int32'), mean as tf.Tensor1D, tf.onesLike(mean!) as tf.Tensor1D);
    await expectEqual(body, [integers([3, 5], 1), integers([5], 2)]);
  });

  const EPSILON = 1e-5;
  const ROUNDING = 2 ** -18;

  /** Statistics, result and gradients of one channel, in float64. */
  function reference(x: number[], dy: number[], gamma: number, beta: number) {
    const sum = (terms: number[]): number => terms.reduce((a, b) => a + b, 0);
    const rows = x.length;
    const mean = sum(x) / rows;
    const variance = sum(x.map((value) => (value - mean) ** 2)) / rows;
    const inverse = 1 / Math.sqrt(variance + EPSILON);
    const normalized = x.map((value) => (value - mean) * inverse);
    const dbeta = sum(dy);
    const dgamma = sum(dy.map((value, r) => value * normalized[r]!));
    const dx = dy.map(
      (value, r) => gamma * inverse * (value - dbeta / rows - (normalized[r]! * dgamma) / rows),
    );
    return { mean, variance, inverse, y: normalized.map((value) => gamma * value + beta), dbeta, dgamma, dx };
  }

  function check(rows: number, channels: number, seed: number, offset: number): void {
    const x = random([rows, channels], seed).values.map((value) => value + offset);
    const [dy, gamma, beta] = [
      random([rows, channels], seed + 1),
      random([channels], seed + 2),
      random([channels], seed + 3),
    ];
    const found = tf.tidy(() => {
      const input = tf.tensor(x, [1, rows, 1, channels]);
      const moments = batchMoments(input);
      const apply = (...[a, g, b]: tf.Tensor[]): tf.Tensor =>
        normalizeBatch(a!, moments, g as tf.Tensor1D, b as tf.Tensor1D, EPSILON);
      const inputs = [input, tf.tensor(gamma.values), tf.tensor(beta.values)];
      const gradients = tf.grads(apply)(inputs, tf.tensor(dy.values, [1, rows, 1, channels]));
      const all = [moments.mean, moments.variance, apply(...inputs), ...gradients];
      return all.map((tensor) => tensor.dataSync() as Float32Array) as [
        Float32Array,
        Float32Array,
        Float32Array,
        Float32Array,
        Float32Array,
        Float32Array,
      ];
    });
    const [mean, variance, y, dx, dgamma, dbeta] = found;
    for (let c = 0; c < channels; c++) {
      const column = (from: Float32Array): number[] =>
        Array.from({ length: rows }, (_, r) => from[r * channels + c]!);
      const [own, dys] = [column(x), column(dy.values)];
      const wanted = reference(own, dys, gamma.values[c]!, beta.values[c]!);
      // An expectation for each value would take most of the time.
      const near = (value: number, to: number, size: number, name: string): void => {
        if (!(Math.abs(value - to) <= ROUNDING * size + 1e-30))
          expect.fail(`${name} of channel ${c} is ${value}, not ${to}`);
      };
      const largest = Math.max(...own.map(Math.abs));
      // Deviations are rounded where x is: at its own size, not at theirs.
      const spread = (1 + largest * wanted.inverse) ** 2;
      const scale = Math.abs(gamma.values[c]!) * wanted.inverse;
      near(mean[c]!, wanted.mean, largest, 'mean');
      near(
        variance[c]!,
        wanted.variance,
        wanted.variance + largest * Math.sqrt(wanted.variance) + largest ** 2 * 2 ** -18,
        'variance',
      );
      near(dbeta[c]!, wanted.dbeta, rows, 'dbeta');
      near(dgamma[c]!, wanted.dgamma, rows * (1 + largest * wanted.inverse), 'dgamma');
      for (let r = 0; r < rows; r++) {
        near(y[r * channels + c]!, wanted.y[r]!, scale * largest + 1 + Math.abs(wanted.y[r]!) * spread, 'y');
        near(dx[r * channels + c]!, wanted.dx[r]!, scale * spread * 4, 'dx');
      }
    }
  }

  test("by the batch's own statistics, with gradients", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 90 }),
        fc.integer({ min: 1, max: 37 }),
        fc.integer({ min: 1, max: 1e6 }),
        fc.constantFrom(0, 1, -30),
        check,
      ),
      { numRuns: 40 },
    );
    // Columns that are cut into chunks.
    check(1500, 5, 7, 1);
    check(700, 70, 8, 0);
  });

  // The plain kernel adds all rows one by one, and so loses the last digits of large sums.
  test.skipIf(plain)('statistics of integers are exact, and a large mean costs no digits', () => {
    tf.tidy(() => {
      for (const channels of [1, 6, 40]) {
        const x = tf.tensor2d(
          Float32Array.from({ length: 2048 * channels }, (_, n) => 1e4 + (Math.floor(n / channels) % 2)),
          [2048, channels],
        );
        const { mean, variance } = batchMoments(x);
        expect([...mean.dataSync()]).toEqual(Array(channels).fill(10_000.5));
        expect([...variance.dataSync()]).toEqual(Array(channels).fill(0.25));
      }
    });
  });

  test('NaN spoils its own channel alone', async () => {
    const x = integers([8, 3], 1);
    x.values[4] = Number.NaN;
    const body = (t: tf.Tensor): tf.Tensor => batchMoments(t).mean;
    const [found, wanted] = [onDevice((t) => body(t!), [x]), await onCpu((t) => body(t!), [x])];
    expect(found.values[1]).toBeNaN();
    expect([found.values[0], found.values[2]]).toEqual([wanted.values[0], wanted.values[2]]);
  });
});
