/** Plans against the eager run of the same function, and what cannot be planned. */
import { compile, dsconv2d, selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { constant, difference, filter, testPlans } from '../../conformance/test/support/plans.js';
import { ENGINE_BACKENDS } from './tiers.js';

describe.each(ENGINE_BACKENDS)('plans on %s', (name) => {
  beforeAll(async () => {
    await selectBackend([name]);
  });

  testPlans();

  test('few channels brought behind their pixels, as models of other frameworks begin', async () => {
    const f = filter([3, 3, 3, 16], 1);
    const last = (x: tf.Tensor) => tf.transpose(x, [0, 2, 3, 1]);
    const body = (x: tf.Tensor) => dsconv2d(last(x) as tf.Tensor4D, f, 1, 'same', { activation: 'relu' });
    expect(await difference((x) => body(x!), [2, 3, 5, 6])).toBeLessThan(1e-6);
    // The values themselves do not change at all.
    expect(await difference((x) => tf.relu(last(x!)), [2, 4, 5, 6])).toBe(0);
    expect(await difference((x) => tf.relu(tf.transpose(x!, [1, 2, 0])), [3, 5, 7])).toBe(0);
    for (const [shape, perm] of [
      [
        [1, 40, 5, 6],
        [0, 2, 3, 1],
      ],
      [
        [2, 3, 4, 5],
        [3, 1, 2, 0],
      ],
    ] as const) {
      const plan = await compile((x) => tf.relu(tf.transpose(x, [...perm])), constant([...shape], 1));
      expect(plan.reason).toContain('operation Transpose of');
    }
  });
});
