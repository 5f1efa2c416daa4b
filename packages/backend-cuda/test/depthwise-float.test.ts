/** Float depthwise convolutions and their gradients against TensorFlow.js's CPU backend. */

import { geometryOf } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { depthwiseKernels } from '../src/kernels/depthwise.js';
import {
  depthwiseGradientKernels,
  launchDepthwiseFilterGradient,
} from '../src/kernels/depthwise-gradients.js';
import { cuda, onCuda } from './support/cuda.js';
import {
  addressOf,
  expectClose,
  expectEqual,
  integers,
  odd,
  onCpu,
  onEachTier,
  random,
  written,
} from './support/float-court.js';
import { plainWindows, type Window, windows } from './support/windows.js';

onCuda();

onEachTier(() => {
  test('are kernels of this backend', () => {
    for (const { kernelName, kernelFunc } of [...depthwiseKernels, ...depthwiseGradientKernels]) {
      expect(tf.getKernel(kernelName, tf.getBackend()).kernelFunc).toBe(kernelFunc);
    }
  });

  const channels = fc.constantFrom(1, 3, 4, 8, 20, 33);
  const multiplier = fc.constantFrom(1, 1, 2, 3);

  const convolve =
    (w: Window) =>
    (...[x, filter]: tf.Tensor[]): tf.Tensor =>
      tf.depthwiseConv2d(
        x as tf.Tensor4D,
        filter as tf.Tensor4D,
        w.strides,
        w.pad,
        'NHWC',
        w.dilations,
        w.rounding,
      );

  test('within rounding, and integers exactly', async () => {
    await fc.assert(
      fc.asyncProperty(
        windows,
        channels,
        multiplier,
        fc.integer({ min: 1, max: 1e6 }),
        async (w, c, m, seed) => {
          const [x, filter] = [
            [w.batch, w.height, w.width, c],
            [...w.kernel, c, m],
          ];
          await expectClose(convolve(w), [random(x, seed), random(filter, seed + 1)], {
            terms: w.kernel[0] * w.kernel[1],
          });
          const exact = [integers(x, seed), integers(filter, seed + 1)];
          await expectEqual(convolve(w), exact);
          await expectEqual(
            convolve(w),
            exact.map((given, n) => odd(given, seed + n)),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  test.each(['linear', 'relu6', 'leakyrelu', 'prelu', 'elu', 'sigmoid'] as const)(
    'fused, %s',
    async (activation) => {
      for (const [c, m] of [
        [8, 1],
        [5, 2],
      ] as const) {
        const given = [
          random([2, 6, 7, c], 1),
          random([3, 3, c, m], 2),
          random([c * m], 3),
          random([c * m], 4),
        ];
        const body = (...[x, filter, bias, slopes]: tf.Tensor[]): tf.Tensor =>
          tf.fused.depthwiseConv2d({
            x: x as tf.Tensor4D,
            filter: filter as tf.Tensor4D,
            strides: 2,
            pad: 'same',
            bias: bias!,
            activation,
            leakyreluAlpha: 0.3,
            ...(activation === 'prelu' ? { preluActivationWeights: slopes! } : {}),
          });
        const magnitude = (...[x, filter, bias]: tf.Tensor[]): tf.Tensor =>
          tf.add(tf.depthwiseConv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 2, 'same'), bias!);
        await expectClose(body, given, { terms: 10, magnitude, after: 8 });
      }
    },
  );

  /** The kernels as `tf.grads` calls them. */
  function gradients(w: Window, c: number, m: number) {
    const info = tf.backend_util.computeConv2DInfo(
      [w.batch, w.height, w.width, c],
      [...w.kernel, c, m],
      w.strides,
      1,
      w.pad,
      w.rounding,
      true,
    );
    const attrs = { strides: w.strides, pad: w.pad, dilations: [1, 1], dimRoundingMode: w.rounding };
    return {
      info,
      shapes: { x: [w.batch, w.height, w.width, c], filter: [...w.kernel, c, m], dy: info.outShape },
      byInput: (dy: tf.Tensor, filter: tf.Tensor) =>
        tf.engine().runKernel('DepthwiseConv2dNativeBackpropInput', { dy, filter }, {
          ...attrs,
          inputShape: [...info.inShape],
        } as never) as tf.Tensor,
      byFilter: (x: tf.Tensor, dy: tf.Tensor) =>
        tf.engine().runKernel('DepthwiseConv2dNativeBackpropFilter', { x, dy }, {
          ...attrs,
          filterShape: [...w.kernel, c, m],
        } as never) as tf.Tensor,
    };
  }

  test('gradients within rounding, and of integers exactly', async () => {
    await fc.assert(
      fc.asyncProperty(
        plainWindows,
        channels,
        multiplier,
        fc.integer({ min: 1, max: 1e6 }),
        async (w, c, m, seed) => {
          const { shapes, byInput, byFilter } = gradients(w, c, m);
          const [x, filter, dy] = [
            random(shapes.x, seed),
            random(shapes.filter, seed + 1),
            random(shapes.dy, seed + 2),
          ];
          await expectClose((a, b) => byInput(a!, b!), [dy, filter], {
            terms: w.kernel[0] * w.kernel[1] * m,
          });
          await expectClose((a, b) => byFilter(a!, b!), [x, dy], {
            terms: shapes.dy[0]! * shapes.dy[1]! * shapes.dy[2]!,
          });
          const exact = [
            integers(shapes.x, seed),
            integers(shapes.filter, seed + 1),
            integers(shapes.dy, seed + 2),
          ];
          for (const [p, q, r] of [exact, exact.map((given, n) => odd(given, seed + n))]) {
            await expectEqual((a, b) => byInput(a!, b!), [r!, q!]);
            await expectEqual((a, b) => byFilter(a!, b!), [p!, r!]);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('pixels shared by any number of blocks', async () => {
    const [x, dy] = [integers([2, 9, 11, 40], 1), integers([2, 5, 6, 40], 2)];
    const geometry = geometryOf(x, { shape: [3, 3, 40, 1] }, { strides: 2, pad: 'same' }, true);
    const { byFilter } = gradients(
      {
        batch: 2,
        height: 9,
        width: 11,
        kernel: [3, 3],
        strides: [2, 2],
        dilations: [1, 1],
        pad: 'same',
        rounding: undefined,
      },
      40,
      1,
    );
    const wanted = await onCpu((a, b) => byFilter(a!, b!), [x, dy]);
    tf.tidy(() => {
      const given = { x: addressOf(x), dy: addressOf(dy) };
      for (const splits of [1, 2, 3, 7, 60]) {
        const found = written([3, 3, 40, 1], (dw) =>
          launchDepthwiseFilterGradient(cuda(), { geometry, ...given, dw, splits }),
        );
        expect(found, `${splits}`).toEqual(wanted.values);
      }
    });
  });
});
