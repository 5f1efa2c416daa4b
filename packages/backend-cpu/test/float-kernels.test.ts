/** Every float kernel here against TensorFlow.js's own CPU kernel, on shapes with ragged edges. */
import { selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compare, tensor } from './compare.js';
import { ENGINE_BACKENDS } from './tiers.js';

describe.each(ENGINE_BACKENDS)('%s', (name) => {
  const run = { numRuns: 40 };
  const size = fc.integer({ min: 1, max: 9 });
  const kernel = fc.integer({ min: 1, max: 4 });
  const step = fc.integer({ min: 1, max: 3 });
  const pad = fc.constantFrom<'same' | 'valid'>('same', 'valid');

  test('conv2d', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          b: fc.integer({ min: 1, max: 2 }),
          h: size,
          w: size,
          i: fc.integer({ min: 1, max: 20 }),
          o: fc.integer({ min: 1, max: 19 }),
          kh: kernel,
          kw: kernel,
          s: step,
          d: step,
          pad,
        }),
        async (c) => {
          const stride = c.d > 1 ? 1 : c.s;
          fc.pre(c.pad === 'same' || (c.h > (c.kh - 1) * c.d && c.w > (c.kw - 1) * c.d));
          await compare(
            name,
            () => {
              const x = tensor([c.b, c.h, c.w, c.i], 1) as tf.Tensor4D;
              const f = tensor([c.kh, c.kw, c.i, c.o], 2) as tf.Tensor4D;
              return tf.conv2d(x, f, stride, c.pad, 'NHWC', c.d);
            },
            c.kh * c.kw * c.i,
          );
        },
      ),
      run,
    );
  });

  test.each(['linear', 'relu', 'relu6', 'leakyrelu', 'prelu', 'sigmoid', 'elu'] as const)(
    'fused conv2d, %s',
    async (activation) => {
      await compare(
        name,
        () => {
          const x = tensor([1, 6, 5, 7], 3) as tf.Tensor4D;
          const filter = tensor([3, 3, 7, 10], 4) as tf.Tensor4D;
          const more =
            activation === 'prelu' ? { preluActivationWeights: tensor([10], 6) } : { leakyreluAlpha: 0.3 };
          return tf.fused.conv2d({
            x,
            filter,
            strides: 1,
            pad: 'same',
            bias: tensor([10], 5),
            activation,
            ...more,
          });
        },
        64,
      );
    },
  );

  test('depthwise conv2d', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          h: size,
          w: size,
          c: fc.integer({ min: 1, max: 21 }),
          m: fc.integer({ min: 1, max: 2 }),
          kh: kernel,
          kw: kernel,
          s: step,
          d: step,
          pad,
        }),
        async (c) => {
          const stride = c.d > 1 ? 1 : c.s;
          fc.pre(c.pad === 'same' || (c.h > (c.kh - 1) * c.d && c.w > (c.kw - 1) * c.d));
          await compare(
            name,
            () => {
              const x = tensor([2, c.h, c.w, c.c], 7) as tf.Tensor4D;
              const filter = tensor([c.kh, c.kw, c.c, c.m], 8) as tf.Tensor4D;
              return tf.fused.depthwiseConv2d({
                x,
                filter,
                strides: stride,
                pad: c.pad,
                dilations: c.d,
                bias: tensor([c.c * c.m], 9),
                activation: 'relu6',
              });
            },
            c.kh * c.kw,
          );
        },
      ),
      run,
    );
  });

  test('matMul', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          m: fc.integer({ min: 1, max: 17 }),
          k: fc.integer({ min: 1, max: 40 }),
          n: fc.integer({ min: 1, max: 21 }),
          ta: fc.boolean(),
          tb: fc.boolean(),
          ba: fc.constantFrom(1, 3),
          bb: fc.constantFrom(1, 3),
        }),
        async (c) => {
          await compare(
            name,
            () => {
              const a = tensor(c.ta ? [c.ba, c.k, c.m] : [c.ba, c.m, c.k], 10);
              const b = tensor(c.tb ? [c.bb, c.n, c.k] : [c.bb, c.k, c.n], 11);
              return tf.matMul(a, b, c.ta, c.tb);
            },
            c.k,
          );
        },
      ),
      run,
    );
    await compare(name, () => tf.matMul(tensor([2, 1, 3, 4], 1), tensor([1, 5, 4, 2], 2)), 4);
    await compare(
      name,
      () =>
        tf.fused.matMul({
          a: tensor([3, 9], 1) as tf.Tensor2D,
          b: tensor([9, 6], 2) as tf.Tensor2D,
          bias: tensor([6], 3),
          activation: 'relu',
        }),
      9,
    );
  });

  test('pooling', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          h: size,
          w: size,
          c: fc.integer({ min: 1, max: 11 }),
          k: fc.integer({ min: 1, max: 4 }),
          s: step,
          pad,
        }),
        async (c) => {
          fc.pre(c.pad === 'same' || (c.h >= c.k && c.w >= c.k));
          await compare(
            name,
            () => tf.maxPool(tensor([2, c.h, c.w, c.c], 12) as tf.Tensor4D, c.k, c.s, c.pad),
            1,
          );
          await compare(
            name,
            () => tf.avgPool(tensor([2, c.h, c.w, c.c], 12) as tf.Tensor4D, c.k, c.s, c.pad),
            16,
          );
        },
      ),
      run,
    );
    await compare(name, () => tf.mean(tensor([2, 7, 5, 13], 13), [1, 2]), 35);
    await compare(name, () => tf.mean(tensor([2, 7, 5, 13], 13), [1, 2], true), 35);
    await compare(name, () => tf.mean(tensor([2, 7, 5, 13], 13), -1), 13);
  });

  test('element-wise', async () => {
    const shapes: [number[], number[]][] = [
      [
        [2, 3, 5],
        [2, 3, 5],
      ],
      [[2, 3, 5], [5]],
      [[5], [2, 3, 5]],
      [[2, 3, 5], []],
      [[], [7]],
      [
        [2, 3, 5],
        [1, 1, 5],
      ],
      [
        [2, 3, 1],
        [2, 1, 5],
      ],
      [
        [2, 3, 5],
        [3, 1],
      ],
      [[0, 4], [4]],
      [
        [0, 4],
        [0, 4],
      ],
      // A value per picture, the gradient of a mean, repeated in the middle and at both ends.
      [
        [5, 3, 4],
        [5, 1, 1],
      ],
      [
        [3, 1, 1, 6],
        [3, 4, 5, 6],
      ],
      [
        [2, 3, 4, 5],
        [3, 1, 5],
      ],
      [
        [2, 3, 4, 5],
        [1, 3, 1, 1],
      ],
      [
        [2, 1, 4],
        [2, 3, 4],
      ],
    ];
    for (const [a, b] of shapes) {
      for (const op of [tf.add, tf.sub, tf.mul])
        await compare(name, () => op(tensor(a, 14), tensor(b, 15)), 1);
      for (const op of [tf.maximum, tf.minimum])
        await compare(name, () => op(tensor(a, 14), tensor(b, 15)), 0);
      // Divisors at least 1/2 away from 0.
      await compare(name, () => tf.div(tensor(a, 14), tf.add(tf.relu(tensor(b, 15)), 0.5)), 2);
    }
    for (const op of [tf.relu, tf.relu6, tf.leakyRelu])
      await compare(name, () => op(tf.mul(tensor([4, 33], 16), 9)), 8);
    for (const op of [tf.sigmoid, tf.tanh, tf.exp])
      await compare(name, () => op(tf.mul(tensor([4, 33], 16), 0.9)), 1);
    await compare(name, () => tf.prelu(tensor([4, 33], 16), tensor([33], 17)), 1);
    await compare(name, () => tf.add(tf.tensor1d([1, 2, 3], 'int32'), tf.tensor1d([4, 5, 6], 'int32')), 1);
    await compare(
      name,
      () =>
        tf.batchNorm(
          tensor([2, 3, 3, 6], 18) as tf.Tensor4D,
          tf.ones([6]),
          tf.fill([6], 2),
          tensor([6], 19) as tf.Tensor1D,
          tensor([6], 20) as tf.Tensor1D,
        ),
      4,
    );
  });

  test('softmax', async () => {
    for (const shape of [[3, 1], [2, 5, 17], [7], [1, 1000]]) {
      await compare(name, () => tf.softmax(tf.mul(tensor(shape, 21), 20)), 4);
    }
    await compare(name, () => tf.transpose(tf.softmax(tf.transpose(tensor([5, 4], 22)))), 4);
  });

  test('what has no exact value keeps it: infinities, NaN, far from 0', async () => {
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 200, -200];
    for (const op of [tf.sigmoid, tf.tanh, tf.exp]) await compare(name, () => op(tf.tensor1d(odd)), 0);
    const pairs = odd.flatMap((a) => odd.map((b) => [a, b] as const));
    const sides = () => [0, 1].map((side) => tf.tensor1d(pairs.map((pair) => pair[side]!)));
    for (const op of [tf.maximum, tf.minimum, tf.div]) {
      await compare(
        name,
        () => {
          const [a, b] = sides();
          return op(a!, b!);
        },
        0,
      );
    }
  });

  test('NaN is not swallowed', async () => {
    await selectBackend([name]);
    const relu = tf.relu(tf.tensor1d([Number.NaN, -1, 2, Number.POSITIVE_INFINITY, -0])).dataSync();
    expect([...relu]).toEqual(
      [Number.NaN, 0, 2, Number.POSITIVE_INFINITY, 0].map((v, n) => (n === 4 ? relu[4]! : v)),
    );
    const image = tf.tensor4d([1, Number.NaN, 3, 4, 5, 6, 7, 8, 9], [1, 3, 3, 1]);
    expect([...tf.maxPool(image, 2, 1, 'valid').dataSync()]).toEqual([Number.NaN, Number.NaN, 8, 9]);
  });
});
