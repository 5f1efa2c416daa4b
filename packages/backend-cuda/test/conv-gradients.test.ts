/** `Conv2DBackpropInput` and `Conv2DBackpropFilter` against TensorFlow.js's CPU backend. */
import { type ConvGeometry, resolveGeometry } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  convGradientKernels,
  launchConv2dFilterGradient,
  launchConv2dInputGradient,
} from '../src/kernels/conv2d-gradients.js';
import type { TilingChoice } from '../src/kernels/mat-mul-tiles.js';
import { cuda, onCuda } from './support/cuda.js';
import {
  addressOf,
  expectClose,
  expectEqual,
  type Given,
  integers,
  odd,
  onCpu,
  onEachTier,
  random,
  written,
} from './support/float-court.js';
import { plainWindows, type Window } from './support/windows.js';

onCuda();

test('are kernels of this backend', () => {
  for (const { kernelName, kernelFunc } of convGradientKernels) {
    expect(tf.getKernel(kernelName, tf.getBackend()).kernelFunc).toBe(kernelFunc);
  }
});

/** The kernels as `tf.grads` calls them. */
function gradients(w: Window, c: number, o: number) {
  const info = tf.backend_util.computeConv2DInfo(
    [w.batch, w.height, w.width, c],
    [...w.kernel, c, o],
    w.strides,
    1,
    w.pad,
    w.rounding,
  );
  const attrs = { strides: w.strides, pad: w.pad, dataFormat: 'NHWC', dimRoundingMode: w.rounding };
  return {
    shapes: { x: [w.batch, w.height, w.width, c], filter: [...w.kernel, c, o], dy: info.outShape },
    byInput: (dy: tf.Tensor, filter: tf.Tensor) =>
      tf.engine().runKernel('Conv2DBackpropInput', { dy, filter }, {
        ...attrs,
        inputShape: [...info.inShape],
      } as never) as tf.Tensor,
    byFilter: (x: tf.Tensor, dy: tf.Tensor) =>
      tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, {
        ...attrs,
        filterShape: [...w.kernel, c, o],
      } as never) as tf.Tensor,
  };
}

const channels = fc.constantFrom(1, 3, 4, 5, 8, 12);

onEachTier(() => {
  test('within rounding', async () => {
    await fc.assert(
      fc.asyncProperty(plainWindows, channels, channels, async (w, c, o) => {
        const { shapes, byInput, byFilter } = gradients(w, c, o);
        const [x, filter, dy] = [random(shapes.x, 1), random(shapes.filter, 2), random(shapes.dy, 3)];
        await expectClose((a, b) => byInput(a!, b!), [dy, filter], { terms: w.kernel[0] * w.kernel[1] * o });
        await expectClose((a, b) => byFilter(a!, b!), [x, dy], {
          terms: shapes.dy[0]! * shapes.dy[1]! * shapes.dy[2]!,
        });
      }),
      { numRuns: 60 },
    );
  });

  test('integers exactly, and what is not finite where the CPU has it', async () => {
    await fc.assert(
      fc.asyncProperty(
        plainWindows,
        channels,
        channels,
        fc.integer({ min: 1, max: 1e6 }),
        async (w, c, o, seed) => {
          const { shapes, byInput, byFilter } = gradients(w, c, o);
          const [x, filter, dy] = [
            integers(shapes.x, seed),
            integers(shapes.filter, seed + 1),
            integers(shapes.dy, seed + 2),
          ];
          const strange = [x, filter, dy].map((given, n) => odd(given, seed + 3 + n, 0.02)) as [
            Given,
            Given,
            Given,
          ];
          for (const [p, q, r] of [[x, filter, dy], strange] as const) {
            await expectEqual((a, b) => byInput(a!, b!), [r, q]);
            await expectEqual((a, b) => byFilter(a!, b!), [p, r]);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

const geometryOf = (
  shape: [number, number, number, number],
  o: number,
  kernel: number,
  strides: number,
  dilations = 1,
): ConvGeometry =>
  resolveGeometry({
    inputShape: shape,
    outChannels: o,
    kernelSize: [kernel, kernel],
    pad: 'same',
    strides,
    dilations,
  });

const CHOICES: TilingChoice[] = [
  { tile: 'wide', splits: 1 },
  { tile: 'wide', splits: 2 },
  { tile: 'small', splits: 1 },
  { tile: 'small', splits: 4 },
  { tile: 'any', splits: 3 },
];

test.each([
  [geometryOf([2, 9, 10, 12], 8, 3, 1)],
  [geometryOf([1, 14, 13, 132], 4, 3, 1)],
  [geometryOf([1, 11, 12, 68], 8, 3, 2)],
  [geometryOf([2, 7, 8, 4], 132, 1, 2)],
  [geometryOf([1, 9, 9, 8], 12, 2, 3)],
  // Dilations have a gradient here, though TensorFlow.js refuses it.
  [geometryOf([1, 9, 10, 8], 12, 3, 1, 2)],
  [geometryOf([1, 9, 10, 8], 12, 3, 2, 2)],
])('every tile and share of the depth like the plain kernel, %j', (geometry) => {
  const {
    batch,
    inHeight,
    inWidth,
    inChannels,
    outHeight,
    outWidth,
    outChannels,
    kernelHeight,
    kernelWidth,
  } = geometry;
  const xShape = [batch, inHeight, inWidth, inChannels];
  const filterShape = [kernelHeight, kernelWidth, inChannels, outChannels];
  const exact = [
    integers(xShape, 1),
    integers(filterShape, 2),
    integers([batch, outHeight, outWidth, outChannels], 3),
  ];
  for (const given of [exact, exact.map((values, n) => odd(values, n + 4, 0.003))]) {
    tf.tidy(() => {
      const [x, filter, dy] = given.map(addressOf) as [number, number, number];
      const byInput = (choice: TilingChoice) =>
        written(xShape, (dx) => launchConv2dInputGradient(cuda(), { geometry, dy, filter, dx, choice }));
      const byFilter = (choice: TilingChoice) =>
        written(filterShape, (dw) => launchConv2dFilterGradient(cuda(), { geometry, x, dy, dw, choice }));
      const [dx, dw] = [byInput({ tile: 'naive' }), byFilter({ tile: 'naive' })];
      for (const choice of CHOICES) {
        expect(byInput(choice), `by input, ${JSON.stringify(choice)}`).toEqual(dx);
        expect(byFilter(choice), `by filter, ${JSON.stringify(choice)}`).toEqual(dw);
      }
    });
  }
});

test('the plain kernels know dilations: finite differences', async () => {
  const geometry = geometryOf([1, 7, 6, 2], 3, 3, 1, 2);
  const [x, filter, dy] = [integers([1, 7, 6, 2], 1), integers([3, 3, 2, 3], 2), integers([1, 7, 6, 3], 3)];
  const loss = async (a: Given, b: Given): Promise<number> => {
    const { values } = await onCpu(
      (p, q, r) => tf.sum(tf.mul(tf.conv2d(p as tf.Tensor4D, q as tf.Tensor4D, 1, 'same', 'NHWC', 2), r!)),
      [a, b, dy],
    );
    return values[0]!;
  };
  const moved = ({ shape, values }: Given, at: number): Given => ({
    shape,
    values: values.map((v, n) => (n === at ? v + 1 : v)),
  });
  const [dx, dw] = tf.tidy(() => {
    const [a, b, c] = [addressOf(x), addressOf(filter), addressOf(dy)];
    return [
      written(x.shape, (to) => launchConv2dInputGradient(cuda(), { geometry, dy: c, filter: b, dx: to })),
      written(filter.shape, (to) => launchConv2dFilterGradient(cuda(), { geometry, x: a, dy: c, dw: to })),
    ];
  });
  const at = await loss(x, filter);
  for (let n = 0; n < 20; n++) {
    const [i, j] = [(n * 31) % x.values.length, (n * 17) % filter.values.length];
    // The loss is linear in either, and made of integers.
    expect(dx![i]).toBe((await loss(moved(x, i), filter)) - at);
    expect(dw![j]).toBe((await loss(x, moved(filter, j))) - at);
  }
});

test('transposed convolution', async () => {
  const body = (...[x, filter]: tf.Tensor[]): tf.Tensor =>
    tf.conv2dTranspose(x as tf.Tensor4D, filter as tf.Tensor4D, [2, 8, 10, 6], 2, 'same');
  await expectEqual(body, [integers([2, 4, 5, 8], 1), integers([3, 3, 6, 8], 2)]);
});
