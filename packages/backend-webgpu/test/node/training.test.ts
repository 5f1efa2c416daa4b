/** What training needs, on the GPU: gradients through the operators and the roundings, held against the CPU, and a model that learns. */
import '@dsconv/backend-cpu';
import '@dsconv/backend-webgpu';
import {
  bfpRound,
  dsconv2d,
  dsDepthwiseConv2d,
  quantizeDepthwiseFilter,
  quantizeFilter,
  roundToBfp,
} from '@dsconv/core';
import {
  dsConv2d as convolution,
  dsDepthwiseConv2d as depthwise,
  fakeQuantize,
  partitionOf,
} from '@dsconv/layers';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import * as tfl from '@tensorflow/tfjs-layers';
import { expect, test } from 'vitest';
import { useWebGPU } from '../support/webgpu.js';

useWebGPU();

const wave = (shape: number[], step: number, size = 1) =>
  tf.tensor(
    Float32Array.from({ length: tf.util.sizeFromShape(shape) }, (_, n) => size * Math.sin(1 + n * step)),
    shape,
  );

/** Values of the tensors that `compute` returns, on one backend. */
async function on(backend: string, compute: () => tf.Tensor[]): Promise<number[][]> {
  await tf.setBackend(backend);
  const tensors = tf.tidy(compute);
  const values = await Promise.all(tensors.map(async (t) => [...((await t.data()) as Float32Array)]));
  tf.dispose(tensors);
  return values;
}

/** Every value on the GPU within `tolerance` of the CPU's, relative to the largest of its tensor. */
async function expectSame(compute: () => tf.Tensor[], tolerance = 1e-5): Promise<void> {
  const wanted = await on('dsconv-cpu', compute);
  const found = await on('webgpu', compute);
  for (const [t, values] of wanted.entries()) {
    expect(found[t]).toHaveLength(values.length);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeGreaterThan(0);
    for (const [n, value] of values.entries()) {
      expect(Math.abs(found[t]![n]! - value), `tensor ${t}, value ${n}`).toBeLessThanOrEqual(
        tolerance * largest,
      );
    }
  }
}

// 3 and 16 channels lie on a grid of 8 bits, so that both sides round alike.
const onGrid = (shape: number[]) => tf.round(tf.mul(wave(shape, 0.37), 63));

test.each(['linear', 'relu', 'relu6', 'silu', 'leakyrelu', 'prelu'] as const)(
  'gradients of dsconv2d with %s',
  async (activation) => {
    const weights = Float32Array.from({ length: 9 * 8 * 6 }, (_, n) => Math.sin(n * 1.7) / 100);
    const filter = quantizeFilter(weights, [3, 3, 8, 12 / 2], { bits: 4, blockSize: 16 });
    await expectSame(() => {
      const inputs = [onGrid([2, 6, 5, 8]), wave([6], 0.9), wave([2, 3, 3, 6], 1.3)];
      if (activation === 'prelu') inputs.push(wave([6], 2.1));
      const call = (x: tf.Tensor, bias: tf.Tensor, residual: tf.Tensor, preluActivationWeights?: tf.Tensor) =>
        dsconv2d(x as tf.Tensor4D, filter, 2, 'same', {
          ...{
            bias: bias as tf.Tensor1D,
            residual: residual as tf.Tensor4D,
            activation,
            leakyreluAlpha: 0.3,
          },
          ...(preluActivationWeights && { preluActivationWeights }),
        });
      return tf.grads(call)(inputs, wave([2, 3, 3, 6], 2.3));
    });
  },
);

test('gradients of dsDepthwiseConv2d, and of groups with dilation', async () => {
  const weights = (length: number) => Float32Array.from({ length }, (_, n) => Math.sin(n * 1.1));
  const one = quantizeDepthwiseFilter(weights(9 * 8), [3, 3, 8, 1], { bits: 8 });
  const two = quantizeFilter(weights(9 * 4 * 6), [3, 3, 4, 6], { bits: 8, blockSize: 16 });
  await expectSame(() => {
    const x = onGrid([2, 6, 5, 8]) as tf.Tensor4D;
    return [
      tf.grad((t: tf.Tensor) => dsDepthwiseConv2d(t as tf.Tensor4D, one, 2, 'same', { activation: 'relu' }))(
        x,
        wave([2, 3, 3, 8], 2.3),
      ),
      tf.grad((t: tf.Tensor) => dsconv2d(t as tf.Tensor4D, two, 1, 'same', { groups: 2, dilations: 2 }))(
        x,
        wave([2, 6, 5, 6], 2.3),
      ),
    ];
  });
});

// So that some weights are clamped, whatever the bits.
const scales = (bits: number) => tf.mul(tf.add(0.7, wave([3, 3, 2, 6], 0.9, 0.2)), 2 ** (1 - bits));

test.each([2, 4, 8])('fakeQuantize and its gradients with %i bits, shifts too', async (bits) => {
  for (const shifted of [false, true]) {
    const partition = partitionOf('conv2d', [3, 3, 20, 6], 16, false);
    await expectSame(() => {
      const inputs = [wave([3, 3, 20, 6], 0.71), scales(bits)];
      if (shifted) inputs.push(wave([3, 3, 2, 6], 0.3, 0.1));
      const call = (w: tf.Tensor, kds: tf.Tensor, kdsBias?: tf.Tensor) =>
        fakeQuantize(w as tf.Tensor4D, kds, kdsBias ?? null, bits, partition);
      return [
        call(...(inputs as [tf.Tensor, tf.Tensor])),
        ...tf.grads(call)(inputs, wave([3, 3, 20, 6], 2.3)),
      ];
    });
  }
});

test('rounding of activations is exact at every exponent, and its gradient stops at the clamp', async () => {
  const exponents = Array.from({ length: 160 }, (_, n) => n - 110);
  const values = Float32Array.from(
    exponents.flatMap((e) => [1, -0.7, 1.9999999, 0.3, 1.5, 0.0078125, -1.996, 0.5].map((v) => v * 2 ** e)),
  );
  for (const bits of [8, 4]) {
    const format = { bits, blockSize: 8 };
    const compute = (): tf.Tensor[] => {
      const x = tf.tensor2d(values, [160, 8]);
      return [bfpRound(x, format), tf.grad((t: tf.Tensor) => bfpRound(t, format))(x, wave([160, 8], 1.9))];
    };
    const [rounded, gradient] = await on('webgpu', compute);
    expect(rounded).toEqual([...roundToBfp(values, 8, format)]);
    expect(gradient).toEqual((await on('dsconv-cpu', compute))[1]);
  }
});

let models = 0;

/** Layers of all kinds, with weights that depend on nothing. */
function smallModel(): tfl.Sequential {
  const name = (layer: string) => `${layer}_${models}`;
  models++;
  return tfl.sequential({
    layers: [
      convolution({
        inputShape: [8, 8, 3],
        filters: 16,
        kernelSize: 3,
        bits: 8,
        activation: 'relu',
        name: name('a'),
      }),
      depthwise({ kernelSize: 3, strides: 2, bits: 8, name: name('b') }),
      convolution({
        filters: 16,
        kernelSize: 1,
        bits: 4,
        blockSize: 16,
        activation: 'relu',
        name: name('c'),
      }),
      tfl.layers.globalAveragePooling2d({ name: name('d') }),
      tfl.layers.dense({ units: 2, activation: 'softmax', name: name('e') }),
    ],
  });
}

const PICTURES = 24;
/** Two classes: waves from row to row, and from column to column. */
const pictures = () =>
  tf.tensor4d(
    Float32Array.from({ length: PICTURES * 192 }, (_, n) => {
      const picture = Math.floor(n / 192);
      const [row, column] = [Math.floor(n / 24) % 8, Math.floor(n / 3) % 8];
      return Math.sin((picture % 2 === 0 ? row : column) * 2 + picture) + 0.1 * Math.sin(n * 7);
    }),
    [PICTURES, 8, 8, 3],
  );
const classes = () =>
  tf.tensor2d(
    Float32Array.from({ length: 2 * PICTURES }, (_, n) => ((n >> 1) % 2 === n % 2 ? 1 : 0)),
    [PICTURES, 2],
  );

test('gradients of a model of quantized layers are those of the CPU', { timeout: 240_000 }, async () => {
  // Where a sum lies next to a rounding boundary, an activation may be a step of its block away.
  await expectSame(() => {
    const model = smallModel();
    const weights = model.trainableWeights.map(({ shape }, n) =>
      wave(shape as number[], 0.61 + 0.1 * n, 0.4),
    );
    for (const [n, weight] of model.trainableWeights.entries()) weight.write(weights[n]!);
    // Scales are fitted anew in each step, from those before: from the same ones here.
    for (const scale of model.nonTrainableWeights) scale.write(tf.fill(scale.shape as number[], 0.06));
    const { grads, value } = tf.variableGrads(() => {
      const answers = model.apply(pictures(), { training: true }) as tf.Tensor;
      return tf.losses.softmaxCrossEntropy(classes(), answers) as tf.Scalar;
    });
    const found = model.trainableWeights.map((weight) => grads[(weight.read() as tf.Variable).name]!);
    expect(found.every(Boolean)).toBe(true);
    return [value, ...found];
  }, 0.02);
});

test('a model of quantized layers learns', { timeout: 240_000 }, async () => {
  await tf.setBackend('webgpu');
  const model = smallModel();
  model.compile({ optimizer: tf.train.adam(0.02), loss: 'categoricalCrossentropy' });
  const { history } = await model.fit(pictures(), classes(), {
    epochs: 12,
    batchSize: 12,
    shuffle: false,
    verbose: 0,
  });
  const losses = history.loss as number[];
  expect(losses).toHaveLength(12);
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);
});
