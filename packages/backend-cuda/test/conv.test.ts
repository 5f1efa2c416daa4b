/** `Conv2D` and `FusedConv2D` against TensorFlow.js's CPU backend. */
import { type ConvGeometry, resolveGeometry } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { convKernels, launchConv2d } from '../src/kernels/conv2d.js';
import { NO_EPILOGUE } from '../src/kernels/conv2d-epilogue.js';
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
import { type Window, windows } from './support/windows.js';

onCuda();

test('are kernels of this backend', () => {
  for (const { kernelName, kernelFunc } of convKernels) {
    expect(tf.getKernel(kernelName, tf.getBackend()).kernelFunc).toBe(kernelFunc);
  }
});

const convolve =
  (w: Window) =>
  (...[x, filter]: tf.Tensor[]): tf.Tensor =>
    tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, w.strides, w.pad, 'NHWC', w.dilations, w.rounding);

const channels = fc.constantFrom(1, 3, 4, 5, 8, 12, 20);

onEachTier(() => {
  test('within rounding', async () => {
    await fc.assert(
      fc.asyncProperty(windows, channels, channels, async (w, c, o) => {
        const given = [random([w.batch, w.height, w.width, c], 1), random([...w.kernel, c, o], 2)];
        await expectClose(convolve(w), given, { terms: w.kernel[0] * w.kernel[1] * c });
      }),
      { numRuns: 60 },
    );
  });

  test('integers exactly, and what is not finite where the CPU has it', async () => {
    await fc.assert(
      fc.asyncProperty(
        windows,
        channels,
        channels,
        fc.integer({ min: 1, max: 1e6 }),
        async (w, c, o, seed) => {
          const [x, filter] = [
            integers([w.batch, w.height, w.width, c], seed),
            integers([...w.kernel, c, o], seed + 1),
          ];
          await expectEqual(convolve(w), [x, filter]);
          await expectEqual(convolve(w), [odd(x, seed + 2, 0.02), odd(filter, seed + 3, 0.02)]);
        },
      ),
      { numRuns: 40 },
    );
  });

  test.each(['linear', 'relu', 'relu6', 'leakyrelu', 'prelu', 'elu', 'sigmoid'] as const)(
    'fused, %s',
    async (activation) => {
      for (const o of [8, 11]) {
        for (const bias of [[o], [1]]) {
          const given = [random([1, 6, 5, 7], 1), random([3, 3, 7, o], 2), random(bias, 3), random([o], 4)];
          const body = (...[x, filter, b, slopes]: tf.Tensor[]): tf.Tensor =>
            tf.fused.conv2d({
              x: x as tf.Tensor4D,
              filter: filter as tf.Tensor4D,
              strides: 1,
              pad: 'same',
              bias: b!,
              activation,
              leakyreluAlpha: 0.3,
              ...(activation === 'prelu' ? { preluActivationWeights: slopes! } : {}),
            });
          const magnitude = (...[x, filter, b]: tf.Tensor[]): tf.Tensor =>
            tf.add(tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, 'same'), b!);
          await expectClose(body, given, { terms: 64, magnitude, after: 8 });
        }
      }
    },
  );
});

/** A convolution launched in a certain way. */
function launched(
  geometry: ConvGeometry,
  given: { x: number; filter: number },
  choice: TilingChoice,
): Float32Array {
  const { batch, outHeight, outWidth, outChannels } = geometry;
  return written([batch, outHeight, outWidth, outChannels], (y) =>
    launchConv2d(cuda(), { geometry, ...given, y, epilogue: NO_EPILOGUE, choice }),
  );
}

const CHOICES: TilingChoice[] = [
  { tile: 'wide', splits: 1 },
  { tile: 'wide', splits: 2 },
  { tile: 'small', splits: 1 },
  { tile: 'small', splits: 5 },
  { tile: 'any', splits: 3 },
  { tile: 'naive' },
];

function geometryOf(
  shape: [number, number, number, number],
  outChannels: number,
  more: { pad: 'same' | 'valid'; strides: number; kernel: number; dilations?: number; groups?: number },
): ConvGeometry {
  const { pad, strides, kernel, dilations = 1, groups = 1 } = more;
  return resolveGeometry({
    inputShape: shape,
    outChannels,
    kernelSize: [kernel, kernel],
    pad,
    strides,
    dilations,
    groups,
  });
}

test.each([
  [geometryOf([2, 9, 10, 8], 12, { pad: 'same', strides: 1, kernel: 3 })],
  [geometryOf([1, 13, 12, 4], 136, { pad: 'same', strides: 1, kernel: 3 })],
  [geometryOf([3, 8, 8, 16], 64, { pad: 'valid', strides: 1, kernel: 1 })],
  [geometryOf([1, 15, 14, 20], 68, { pad: 'same', strides: 2, kernel: 5 })],
  [geometryOf([1, 12, 12, 12], 8, { pad: 'valid', strides: 1, kernel: 3, dilations: 2 })],
])('every tile and share of the depth, %j', async (geometry) => {
  const { batch, inHeight, inWidth, inChannels, kernelHeight, kernelWidth, outChannels } = geometry;
  const x = integers([batch, inHeight, inWidth, inChannels], 1);
  const filter = integers([kernelHeight, kernelWidth, inChannels, outChannels], 2);
  const w = { strides: geometry.strideHeight, dilations: geometry.dilationHeight };
  const pad = geometry.padBottom > 0 ? 'same' : 'valid';
  for (const [a, b] of [
    [x, filter],
    [odd(x, 3, 0.003), odd(filter, 4, 0.003)],
  ] as [Given, Given][]) {
    const wanted = await onCpu(
      (p, q) => tf.conv2d(p as tf.Tensor4D, q as tf.Tensor4D, w.strides, pad, 'NHWC', w.dilations),
      [a, b],
    );
    tf.tidy(() => {
      const given = { x: addressOf(a), filter: addressOf(b) };
      for (const choice of CHOICES) {
        expect(launched(geometry, given, choice), JSON.stringify(choice)).toEqual(wanted.values);
      }
    });
  }
});

test('groups, each by itself', async () => {
  for (const [c, o, groups] of [
    [8, 16, 2],
    [6, 9, 3],
    [24, 12, 3],
  ] as const) {
    const geometry = geometryOf([2, 5, 6, c], o, { pad: 'same', strides: 1, kernel: 3, groups });
    const [x, filter] = [integers([2, 5, 6, c], 1), integers([3, 3, c / groups, o], 2)];
    const wanted = await onCpu(
      (p, q) => {
        const parts = tf.split(q!, groups, 3);
        const results = tf
          .split(p!, groups, 3)
          .map((part, g) => tf.conv2d(part as tf.Tensor4D, parts[g] as tf.Tensor4D, 1, 'same'));
        return tf.concat(results, 3);
      },
      [x, filter],
    );
    tf.tidy(() => {
      const given = { x: addressOf(x), filter: addressOf(filter) };
      const exact = c % (4 * groups) === 0 && o % (4 * groups) === 0;
      for (const choice of exact ? CHOICES : CHOICES.slice(4))
        expect(launched(geometry, given, choice)).toEqual(wanted.values);
    });
  }
});

test('addresses between multiples of 16 bytes', async () => {
  const geometry = geometryOf([1, 6, 6, 8], 8, { pad: 'same', strides: 1, kernel: 3 });
  const [x, filter] = [integers([1, 6, 6, 8], 1), integers([3, 3, 8, 8], 2)];
  const wanted = await onCpu((p, q) => tf.conv2d(p as tf.Tensor4D, q as tf.Tensor4D, 1, 'same'), [x, filter]);
  tf.tidy(() => {
    const moved = { shape: [x.values.length + 1], values: Float32Array.of(9, ...x.values) };
    const given = { x: addressOf(moved) + 4, filter: addressOf(filter) };
    expect(launched(geometry, given, {})).toEqual(wanted.values);
  });
});

test('residuals and silu, which plans have', async () => {
  const geometry = geometryOf([1, 5, 5, 8], 12, { pad: 'same', strides: 1, kernel: 3 });
  const [x, filter, bias, residual] = [
    random([1, 5, 5, 8], 1),
    random([3, 3, 8, 12], 2),
    random([12], 3),
    random([1, 5, 5, 12], 4),
  ];
  for (const activation of ['relu', 'silu'] as const) {
    const wanted = await onCpu(
      (p, q, b, r) => {
        const y = tf.add(tf.add(tf.conv2d(p as tf.Tensor4D, q as tf.Tensor4D, 1, 'same'), b!), r!);
        return activation === 'relu' ? tf.relu(y) : tf.mul(y, tf.sigmoid(y));
      },
      [x, filter, bias, residual],
    );
    tf.tidy(() => {
      const given = { x: addressOf(x), filter: addressOf(filter) };
      for (const choice of CHOICES) {
        const found = written([1, 5, 5, 12], (y) =>
          launchConv2d(cuda(), {
            geometry,
            ...given,
            y,
            epilogue: {
              bias: { address: addressOf(bias), step: 1 },
              residual: addressOf(residual),
              activation,
              leakyreluAlpha: 0,
              slopes: null,
            },
            choice,
          }),
        );
        // Terms are below 1, and 74 of them.
        found.forEach((value, n) => {
          expect(Math.abs(value - wanted.values[n]!), `${n}`).toBeLessThanOrEqual(74 * 74 * 2 ** -23);
        });
      }
    });
  }
});

test('channels first are left to the CPU', async () => {
  const body = (...[x, filter]: tf.Tensor[]) =>
    tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, 'same', 'NCHW');
  await expectEqual(body, [integers([1, 4, 5, 6], 1), integers([3, 3, 4, 8], 2)]);
});
