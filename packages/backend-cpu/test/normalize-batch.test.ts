/** Batch normalization with the statistics of the batch, in every tier and by stock operators, against its formulas in float64. */
import { batchMoments, normalizeBatch } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { setThreads } from '@dsconv/backend-cpu';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { values } from './compare.js';
import { ENGINE_BACKENDS } from './tiers.js';

const EPSILON = 1e-5;
/** Rounding of float32 in a sum of a few hundred terms, some of which are sums themselves. */
const ROUNDING = 2 ** -18;

interface Case {
  rows: number;
  channels: number;
  seed: number;
  /** Mean of x against its deviation of about a half. */
  offset: number;
}

function inputsOf({ rows, channels, seed, offset }: Case) {
  const x = values(rows * channels, seed).map((value) => value + offset);
  const dy = values(rows * channels, seed + 1);
  return { x, dy, gamma: values(channels, seed + 2), beta: values(channels, seed + 3) };
}

/** All in float64; magnitudes are what the terms of each value sum up to without their signs. */
function reference({ x, dy, gamma, beta }: ReturnType<typeof inputsOf>, rows: number) {
  const channels = gamma.length;
  const column = (from: Float32Array, c: number) =>
    Array.from({ length: rows }, (_, r) => from[r * channels + c]!);
  const sum = (terms: number[]) => terms.reduce((a, b) => a + b, 0);
  return Array.from(gamma, (g, c) => {
    const [inputs, gradients] = [column(x, c), column(dy, c)];
    const mean = sum(inputs) / rows;
    const variance = sum(inputs.map((value) => (value - mean) ** 2)) / rows;
    const inverse = 1 / Math.sqrt(variance + EPSILON);
    const normalized = inputs.map((value) => (value - mean) * inverse);
    const dbeta = sum(gradients);
    const dgamma = sum(gradients.map((value, r) => value * normalized[r]!));
    return {
      mean,
      variance,
      y: normalized.map((value) => g * value + beta[c]!),
      dbeta,
      dgamma,
      dx: gradients.map(
        (value, r) => g * inverse * (value - dbeta / rows - (normalized[r]! * dgamma) / rows),
      ),
      size: Math.max(...inputs.map(Math.abs)),
      scale: Math.abs(g) * inverse,
      largest: Math.max(...gradients.map(Math.abs)),
      inverse,
      beta: Math.abs(beta[c]!),
    };
  });
}

function check(given: Case): void {
  const { rows, channels } = given;
  const inputs = inputsOf(given);
  const wanted = reference(inputs, rows);
  const found = tf.tidy(() => {
    const [x, dy] = [inputs.x, inputs.dy].map((data) => tf.tensor(data, [1, rows, 1, channels]));
    const [gamma, beta] = [inputs.gamma, inputs.beta].map((data) => tf.tensor1d(data));
    const moments = batchMoments(x!);
    const apply = (...[a, g, b]: tf.Tensor[]) =>
      normalizeBatch(a!, moments, g as tf.Tensor1D, b as tf.Tensor1D, EPSILON);
    const [dx, dgamma, dbeta] = tf.grads(apply)([x!, gamma!, beta!], dy!);
    return {
      mean: moments.mean.dataSync(),
      variance: moments.variance.dataSync(),
      y: apply(x!, gamma!, beta!).dataSync(),
      dx: dx!.dataSync(),
      dgamma: dgamma!.dataSync(),
      dbeta: dbeta!.dataSync(),
    };
  });
  wanted.forEach((w, c) => {
    const near = (value: number, to: number, magnitude: number, name: string) =>
      expect(Math.abs(value - to), `${name} of channel ${c}`).toBeLessThanOrEqual(
        ROUNDING * magnitude + 1e-30,
      );
    // Deviations are rounded where x is: at its own size, not at theirs.
    const deviation = w.size * w.inverse;
    near(found.mean[c]!, w.mean, w.size, 'mean');
    near(
      found.variance[c]!,
      w.variance,
      w.variance + w.size * Math.sqrt(w.variance) + w.size ** 2 * 2 ** -18,
      'variance',
    );
    near(found.dbeta[c]!, w.dbeta, rows * w.largest, 'dbeta');
    near(found.dgamma[c]!, w.dgamma, rows * w.largest * (1 + deviation), 'dgamma');
    for (let r = 0; r < rows; r++) {
      const at = r * channels + c;
      // An error of the variance moves every normalized value by its share of it.
      const spread = (1 + deviation) * (1 + deviation);
      near(found.y[at]!, w.y[r]!, w.scale * w.size + w.beta + Math.abs(w.y[r]!) * spread, 'y');
      near(found.dx[at]!, w.dx[r]!, w.scale * w.largest * spread * 4, 'dx');
    }
  });
}

describe.each([...ENGINE_BACKENDS, 'dsconv-cpu/js', 'cpu'])('%s', (backend) => {
  test('values and gradients', async () => {
    await tf.setBackend(backend);
    fc.assert(
      fc.property(
        fc.record({
          rows: fc.integer({ min: 2, max: 90 }),
          channels: fc.integer({ min: 1, max: 37 }),
          seed: fc.integer({ min: 1, max: 1e6 }),
          offset: fc.constantFrom(0, 1, -30),
        }),
        check,
      ),
      { numRuns: 40 },
    );
  });

  test('long columns, which are cut into pieces', async () => {
    await tf.setBackend(backend);
    check({ rows: 5000, channels: 16, seed: 3, offset: 2 });
  });
});

test('bit for bit the same on any number of threads', async () => {
  await tf.setBackend('dsconv-cpu');
  const run = async (threads: number) => {
    await setThreads(threads);
    return tf.tidy(() => {
      const x = tf.tensor(values(40_000 * 12, 5), [40_000, 12]);
      const { mean, variance } = batchMoments(x);
      return [mean.dataSync().slice(), variance.dataSync().slice()];
    });
  };
  const two = await run(2);
  expect(await run(1)).toEqual(two);
});

test('a mean that is large costs the variance no digits', async () => {
  await tf.setBackend('dsconv-cpu');
  tf.tidy(() => {
    const x = tf.tensor2d(
      Float32Array.from({ length: 4096 }, (_, n) => 1e4 + (n % 2)),
      [4096, 1],
    );
    const { mean, variance } = batchMoments(x);
    expect(mean.dataSync()[0]).toBe(1e4 + 0.5);
    expect(variance.dataSync()[0]).toBeCloseTo(0.25, 6);
  });
});

test.each([
  [[4, 3], 2, /gamma has shape \[2\]; expected \[3\]/],
  [[0, 3], 3, /x is float32 of shape \[0,3\]; expected float32 with channels as its last axis/],
])('x of %j with %i scales is refused', async (shape, channels, message) => {
  await tf.setBackend('dsconv-cpu');
  expect(() =>
    tf.tidy(() => {
      const numbers = tf.ones([channels]) as tf.Tensor1D;
      const moments = { mean: tf.zeros([3]) as tf.Tensor1D, variance: tf.ones([3]) as tf.Tensor1D };
      return normalizeBatch(tf.ones(shape as number[]), moments, numbers, tf.ones([3]) as tf.Tensor1D, 1e-5);
    }),
  ).toThrow(message);
});
