/** `BatchMatMul` and `_FusedMatMul` against TensorFlow.js's CPU backend. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matMulBatch, matMulKernels } from '../src/kernels/mat-mul.js';
import { onCuda } from './support/cuda.js';
import {
  expectClose,
  expectEqual,
  expectSame,
  integers,
  odd,
  onCpu,
  onDevice,
  onEachTier,
  random,
} from './support/float-court.js';

onCuda();

onEachTier(() => {
  test('are kernels of this backend', () => {
    for (const { kernelName, kernelFunc } of matMulKernels) {
      expect(tf.getKernel(kernelName, tf.getBackend()).kernelFunc).toBe(kernelFunc);
    }
  });

  const sizes = fc.record({
    m: fc.integer({ min: 1, max: 20 }),
    k: fc.integer({ min: 1, max: 90 }),
    n: fc.integer({ min: 1, max: 70 }),
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
  });

  test('products within rounding', async () => {
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.integer({ min: 1, max: 1e6 }),
        async ({ m, k, n, transposeA, transposeB }, seed) => {
          const a = random(transposeA ? [k, m] : [m, k], seed);
          const b = random(transposeB ? [n, k] : [k, n], seed + 1);
          await expectClose((x, y) => tf.matMul(x!, y!, transposeA, transposeB), [a, b], { terms: k });
        },
      ),
      { numRuns: 40 },
    );
  });

  const ACTIVATIONS = ['linear', 'relu', 'relu6', 'leakyrelu', 'prelu', 'elu', 'sigmoid'] as const;

  test.each(ACTIVATIONS)('fused, %s', async (activation) => {
    for (const n of [12, 7]) {
      for (const bias of [[n], [1], [3, n]]) {
        const given = [random([3, 40], 1), random([40, n], 2), random(bias, 3), random([n], 4)];
        const body = (...[a, b, c, slopes]: tf.Tensor[]): tf.Tensor =>
          tf.fused.matMul({
            a: a as tf.Tensor2D,
            b: b as tf.Tensor2D,
            bias: c!,
            activation,
            leakyreluAlpha: 0.3,
            ...(activation === 'prelu' ? { preluActivationWeights: slopes! } : {}),
          });
        const magnitude = (...[a, b, c]: tf.Tensor[]): tf.Tensor => tf.add(tf.matMul(a!, b!), c!);
        await expectClose(body, given, { terms: 41, magnitude, after: 8 });
        // Sums of thousands of millions: all that an activation can do.
        const large = [integers([3, 40], 1), integers([40, n], 2), integers(bias, 3), integers([n], 4)];
        if (activation !== 'elu' && activation !== 'sigmoid' && activation !== 'leakyrelu')
          await expectEqual(body, large);
      }
    }
  });

  test('activations of what is not finite, and of zero', async () => {
    const rows = [Number.NaN, Infinity, -Infinity, 0, -0, 100, -100, 3, -3];
    for (const activation of ACTIVATIONS) {
      const given = [
        { shape: [rows.length, 1], values: Float32Array.from(rows) },
        { shape: [1, 5], values: Float32Array.of(1, 1, 1, 1, 1) },
        { shape: [5], values: Float32Array.of(0.5, 0.25, 2, 1, 4) },
      ];
      const body = (...[a, b, slopes]: tf.Tensor[]): tf.Tensor =>
        tf.fused.matMul({
          a: a as tf.Tensor2D,
          b: b as tf.Tensor2D,
          activation,
          leakyreluAlpha: 0.5,
          ...(activation === 'prelu' ? { preluActivationWeights: slopes! } : {}),
        });
      const [found, wanted] = [onDevice(body, given), await onCpu(body, given)];
      const exact = activation !== 'elu' && activation !== 'sigmoid';
      found.values.forEach((value, n) => {
        const want = wanted.values[n]!;
        if (exact || !Number.isFinite(want))
          expect(value === want || (Number.isNaN(value) && Number.isNaN(want)), `${activation} ${n}`).toBe(
            true,
          );
        else expect(Math.abs(value - want)).toBeLessThanOrEqual(2 ** -22 * Math.abs(want));
      });
    }
  });

  test('batches that broadcast', async () => {
    for (const [a, b] of [
      [
        [2, 3, 4],
        [2, 4, 5],
      ],
      [
        [1, 3, 4],
        [6, 4, 5],
      ],
      [
        [6, 3, 4],
        [4, 5],
      ],
      [
        [3, 4],
        [2, 2, 4, 8],
      ],
      [
        [2, 3, 4, 8],
        [2, 3, 8, 4],
      ],
    ] as const) {
      await expectEqual((x, y) => tf.matMul(x!, y!), [integers([...a], 1), integers([...b], 2)]);
    }
  });

  test('batches that broadcast on both sides, where the CPU kernel has it wrong', async () => {
    const [a, b] = [integers([3, 1, 2, 5, 4], 1), integers([2, 1, 4, 6], 2)];
    const found = onDevice((x, y) => tf.matMul(x!, y!), [a, b]);
    // Every axis repeated by hand.
    const wanted = await onCpu(
      (x, y) =>
        tf.matMul(tf.tile(x!, [1, 2, 1, 1, 1]), tf.tile(tf.reshape(y!, [1, 2, 1, 4, 6]), [3, 1, 2, 1, 1])),
      [a, b],
    );
    expectSame(found, wanted);
  });

  test('neighbouring axes of a batch become one where both sides have them', () => {
    expect(matMulBatch([2, 3], [2, 3])).toEqual({ shape: [6], aSteps: [1], bSteps: [1] });
    expect(matMulBatch([2, 3], [3])).toEqual({ shape: [2, 3], aSteps: [3, 1], bSteps: [0, 1] });
    expect(matMulBatch([2, 3], [])).toEqual({ shape: [6], aSteps: [1], bSteps: [0] });
    expect(matMulBatch([1, 1], [1])).toEqual({ shape: [], aSteps: [], bSteps: [] });
    expect(matMulBatch([2, 1, 4], [1, 3, 1])).toEqual({
      shape: [2, 3, 4],
      aSteps: [4, 0, 1],
      bSteps: [0, 1, 0],
    });
  });

  test('without depth there are zeros, without rows nothing', async () => {
    await expectEqual((x, y) => tf.matMul(x!, y!), [integers([3, 0], 1), integers([0, 4], 2)]);
    await expectEqual((x, y) => tf.matMul(x!, y!), [integers([0, 3], 1), integers([3, 4], 2)]);
  });

  test('int32 is left to the CPU', () => {
    tf.tidy(() => {
      const y = tf.matMul(
        tf.tensor2d([1, 2, 3, 4], [2, 2], 'int32'),
        tf.tensor2d([1, 0, 0, 1], [2, 2], 'int32'),
      );
      expect([y.dtype, ...y.dataSync()]).toEqual(['int32', 1, 2, 3, 4]);
    });
  });

  test('NaN and infinity', async () => {
    await expectEqual(
      (x, y) => tf.matMul(x!, y!),
      [odd(integers([9, 30], 1), 2), odd(integers([30, 11], 3), 4)],
    );
  });
});
