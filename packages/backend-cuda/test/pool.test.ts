/** Pools and their gradients against TensorFlow.js's CPU backend, and against what a mean's gradient is where that counts the padding. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { poolKernels } from '../src/kernels/pool.js';
import { onCuda } from './support/cuda.js';
import {
  expectClose,
  expectEqual,
  integers,
  odd,
  onCpu,
  onDevice,
  onEachTier,
  random,
} from './support/float-court.js';
import { plainWindows, possible, type Window } from './support/windows.js';

onCuda();

onEachTier(() => {
  test('are kernels of this backend', () => {
    for (const { kernelName, kernelFunc } of poolKernels) {
      expect(tf.getKernel(kernelName, tf.getBackend()).kernelFunc).toBe(kernelFunc);
    }
  });

  const channels = fc.constantFrom(1, 3, 4, 8, 11);

  /** Pads no wider than what they pad: windows in padding alone are a test of their own. */
  const pools = plainWindows.filter((w) => {
    const pads = typeof w.pad === 'number' ? [w.pad] : Array.isArray(w.pad) ? w.pad.flat() : [];
    return pads.every((pad) => pad < Math.min(...w.kernel)) && w.rounding !== 'ceil';
  });

  const attributes = (w: Window) => ({
    filterSize: w.kernel,
    strides: w.strides,
    pad: w.pad,
    dimRoundingMode: w.rounding,
  });
  const run = (name: string, inputs: Record<string, tf.Tensor>, w: Window): tf.Tensor =>
    tf.engine().runKernel(name, inputs as never, attributes(w) as never) as tf.Tensor;

  test('maxima exactly, means within rounding', async () => {
    await fc.assert(
      fc.asyncProperty(pools, channels, fc.integer({ min: 1, max: 1e6 }), async (w, c, seed) => {
        const x = random([w.batch, w.height, w.width, c], seed);
        await expectEqual((t) => run('MaxPool', { x: t! }, w), [x]);
        await expectClose((t) => run('AvgPool', { x: t! }, w), [x], { terms: w.kernel[0] * w.kernel[1] });
      }),
      { numRuns: 60 },
    );
  });

  test('gradients', async () => {
    await fc.assert(
      fc.asyncProperty(pools, channels, fc.integer({ min: 1, max: 1e6 }), async (w, c, seed) => {
        const shape = [w.batch, w.height, w.width, c];
        const info = tf.backend_util.computePool2DInfo(
          shape as never,
          w.kernel,
          w.strides,
          1,
          w.pad,
          w.rounding,
        );
        // Few different values, so that there are equal maxima: the first has the gradient.
        const [x, dy] = [integers(shape, seed), integers(info.outShape, seed + 1)];
        const max = (a: tf.Tensor, b: tf.Tensor) => run('MaxPoolGrad', { input: a, dy: b, output: b }, w);
        await expectEqual((a, b) => max(a!, b!), [x, dy]);
        await expectEqual((a, b) => max(a!, b!), [odd(x, seed + 2), dy]);
        // Where every window lies inside, TensorFlow.js has the same gradient.
        const inside = (at: 0 | 1, out: number, size: number) =>
          (out - 1) * w.strides[at] + w.kernel[at] <= size;
        if (
          info.padInfo.type === 'VALID' &&
          inside(0, info.outHeight, w.height) &&
          inside(1, info.outWidth, w.width)
        ) {
          const terms = w.kernel[0] * w.kernel[1];
          await expectClose((a, b) => run('AvgPoolGrad', { input: a!, dy: b! }, w), [x, dy], { terms });
        }
      }),
      { numRuns: 50 },
    );
  });

  test("a mean's gradient is due to what it is the mean of", async () => {
    const shape = [2, 5, 6, 3];
    const w: Window = {
      batch: 2,
      height: 5,
      width: 6,
      kernel: [3, 2],
      strides: [2, 1],
      dilations: [1, 1],
      pad: 'same',
      rounding: undefined,
    };
    const x = random(shape, 1);
    const info = tf.backend_util.computePool2DInfo(shape as never, w.kernel, w.strides, 1, w.pad);
    const dy = random(info.outShape, 2);
    const found = onDevice((a, b) => run('AvgPoolGrad', { input: a!, dy: b! }, w), [x, dy]);
    const loss = async (values: Float32Array): Promise<number> => {
      const y = await onCpu((t) => run('AvgPool', { x: t! }, w), [{ shape, values }]);
      return y.values.reduce((sum, value, n) => sum + value * dy.values[n]!, 0);
    };
    for (let n = 0; n < 30; n++) {
      const at = (n * 7) % x.values.length;
      // A mean is linear.
      const moved = (by: number) => x.values.map((value, i) => (i === at ? value + by : value));
      const difference = ((await loss(moved(8))) - (await loss(moved(-8)))) / 16;
      expect(Math.abs(found.values[at]! - difference)).toBeLessThan(1e-6);
    }
  });

  test('windows in padding alone: the smallest maximum, and no mean', async () => {
    const w: Window = {
      batch: 1,
      height: 3,
      width: 3,
      kernel: [1, 2],
      strides: [2, 2],
      dilations: [1, 1],
      pad: 2,
      rounding: 'floor',
    };
    expect(possible(w)).toBe(true);
    for (const c of [3, 4]) {
      await expectEqual((t) => run('MaxPool', { x: t! }, w), [integers([1, 3, 3, c], 1)]);
      await expectEqual((t) => run('AvgPool', { x: t! }, w), [integers([1, 3, 3, c], 1)]);
    }
  });

  test('windows of one pixel leave everything as it is, even with strides that TensorFlow.js forgets', async () => {
    const w: Window = {
      batch: 1,
      height: 1,
      width: 2,
      kernel: [1, 1],
      strides: [1, 2],
      dilations: [1, 1],
      pad: 0,
      rounding: 'floor',
    };
    for (const name of ['MaxPool', 'AvgPool'])
      await expectEqual((t) => run(name, { x: t! }, w), [integers([1, 1, 2, 3], 1)]);
  });

  test('NaN is not swallowed, infinity is larger than all', () => {
    const image = tf.tensor4d([1, Number.NaN, 3, 4, 5, 6, 7, 8, Infinity], [1, 3, 3, 1]);
    expect([...tf.maxPool(image, 2, 1, 'valid').dataSync()]).toEqual([Number.NaN, Number.NaN, 8, Infinity]);
    expect([...tf.avgPool(image, 2, 1, 'valid').dataSync()]).toEqual([Number.NaN, Number.NaN, 6, Infinity]);
    const quads = tf.tile(image, [1, 1, 1, 4]);
    expect([...tf.maxPool(quads as tf.Tensor4D, 2, 1, 'valid').dataSync()].slice(0, 5)).toEqual(
      Array(5).fill(Number.NaN),
    );
  });

  test('int32 is left to the CPU', async () => {
    const y = tf.maxPool(tf.tensor4d([1, 2, 3, 4], [1, 2, 2, 1], 'int32'), 2, 1, 'valid');
    expect([y.dtype, ...y.dataSync()]).toEqual(['int32', 4]);
  });
});
