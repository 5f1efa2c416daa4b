/** Every step that programs have, in a plan and eagerly: the kernels are the same, so the numbers are. */
import { compile, dsconv2d, dsDepthwiseConv2d, quantizeDepthwiseFilter } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { constant, filter } from '../../conformance/test/support/plans.js';
import { onCuda } from './support/cuda.js';

onCuda();

type Body = (...inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];
const shape = [2, 5, 6, 12];
const channels = (seed: number) => constant([12], seed);
const as4d = (x: tf.Tensor) => x as tf.Tensor4D;

const BODIES: Record<string, Body> = {
  'sums, differences, products of tensors': (x) =>
    tf.mul(tf.sub(tf.add(x!, tf.relu(x!)), tf.sigmoid(x!)), x!),
  'with numbers of channels on either side': (x) =>
    tf.sub(channels(1), tf.add(tf.mul(x!, channels(2)), channels(3))),
  'with scalars': (x) => tf.sub(1, tf.div(tf.maximum(tf.minimum(x!, 0.3), -0.2), 3)),
  'of tensors that end in other ones': (x) => tf.div(x!, tf.add(tf.square(x!), 1)),
  'functions of one operand': (x) => [
    tf.relu(x!),
    tf.relu6(tf.mul(x!, 20)),
    tf.sigmoid(x!),
    tf.tanh(x!),
    tf.exp(x!),
    tf.leakyRelu(x!, 0.3),
    tf.prelu(x!, channels(4)),
    tf.neg(x!),
    tf.clipByValue(x!, -0.1, 0.2),
    tf.clipByValue(x!, 0, 6),
  ],
  'a normalization that nothing takes in': (x) =>
    tf.batchNorm(tf.relu(x!), channels(1), tf.square(channels(2)), channels(3), channels(4), 0.01),
  'squared differences and several summands': (x) =>
    tf.addN([x!, tf.squaredDifference(x!, tf.relu(x!)), tf.relu(x!)]),
  reductions: (x) => [tf.mean(x!, [1, 2]), tf.sum(x!, [1, 2]), tf.max(x!, [1, 2]), tf.mean(x!, -1)],
  pools: (x) => [
    tf.maxPool(as4d(x!), 3, 2, 'same'),
    tf.avgPool(as4d(x!), [2, 3], 1, 'same'),
    tf.maxPool(as4d(x!), 2, 2, 'valid'),
  ],
  'softmax, borders, rows side by side': (x) => {
    const borders: [number, number][] = [
      [0, 0],
      [1, 2],
      [0, 3],
      [0, 0],
    ];
    return [tf.concat([tf.softmax(x!), tf.relu(x!), tf.tanh(x!)], 3), tf.pad(tf.relu(x!), borders, 0.5)];
  },
  products: (x) => {
    const rows = tf.reshape(x!, [10, 72]) as tf.Tensor2D;
    const fused = tf.fused.matMul({
      a: rows,
      b: constant([72, 7], 5) as tf.Tensor2D,
      bias: constant([7], 6) as tf.Tensor1D,
      activation: 'relu',
    });
    return [
      fused,
      tf.matMul(rows, constant([9, 72], 7) as tf.Tensor2D, false, true),
      tf.matMul(rows, rows, true, false),
    ];
  },
  'batches of products': (x) => {
    const matrices = tf.reshape(x!, [10, 6, 12]) as tf.Tensor3D;
    return [
      tf.matMul(matrices, matrices, false, true),
      tf.matMul(matrices, constant([10, 12, 3], 8) as tf.Tensor3D),
    ];
  },
  'float convolutions with all that follows them': (x) => {
    const weights = constant([3, 3, 12, 20], 9) as tf.Tensor4D;
    const plain = tf.fused.conv2d({
      x: as4d(x!),
      filter: weights,
      strides: 1,
      pad: 'same',
      bias: constant([20], 10) as tf.Tensor1D,
      activation: 'prelu',
      preluActivationWeights: constant([20], 11),
    });
    const dilated = tf.conv2d(as4d(x!), constant([1, 2, 12, 20], 12) as tf.Tensor4D, 1, 'same', 'NHWC', 2);
    const depthwise = tf.depthwiseConv2d(
      as4d(x!),
      constant([3, 3, 12, 2], 13) as tf.Tensor4D,
      [2, 1],
      'same',
    );
    return [tf.relu(tf.add(tf.conv2d(as4d(x!), weights, 1, 'same'), plain)), dilated, depthwise];
  },
};

async function compare(body: Body, inputs: tf.Tensor[]): Promise<void> {
  const plan = await compile(body, ...inputs);
  expect(plan.reason).toBeNull();
  const wanted = [tf.tidy(() => body(...inputs))].flat();
  for (let run = 0; run < 2; run++) {
    const found = [await plan.run(...inputs)].flat();
    for (const [n, tensor] of wanted.entries()) {
      expect(found[n]!.shape).toEqual(tensor.shape);
      const [a, b] = [await tensor.data(), await found[n]!.data()] as [Float32Array, Float32Array];
      const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeGreaterThan(0);
      for (let i = 0; i < a.length; i++) {
        expect(Math.abs(a[i]! - b[i]!) / largest, `output ${n}, element ${i}`).toBeLessThan(1e-6);
      }
    }
  }
  plan.dispose();
}

test.each(Object.keys(BODIES))('%s', async (name) => {
  await compare(BODIES[name]!, [constant(shape, 20)]);
});

test('quantized convolutions in every form of input and output', async () => {
  const outputFormat = { bits: 8, blockSize: 32 };
  const [stem, first, second] = [
    filter([3, 3, 3, 32], 1, { bits: 8 }),
    filter([1, 1, 32, 64], 2),
    filter([3, 3, 64, 32], 3),
  ];
  const grouped = filter([3, 3, 16, 32], 4);
  const depthwise = quantizeDepthwiseFilter(
    constant([3, 3, 32, 1], 5).dataSync() as Float32Array,
    [3, 3, 32, 1],
    { bits: 4 },
  );
  const slopes = constant([64], 6) as tf.Tensor1D;
  const body = (x: tf.Tensor) => {
    // Rounds float32 itself; its result is read as an image alone.
    const a = dsconv2d(as4d(x), stem, 1, 'same', { activation: 'relu6' });
    const b = dsDepthwiseConv2d(a, depthwise, 1, 'same', { activation: 'silu', outputFormat });
    // Read as two images of other grids, as float32 and as a residual.
    const c = dsconv2d(b, first, 1, 'same', { activation: 'prelu', preluActivationWeights: slopes });
    const d = dsconv2d(c, second, 1, 'same', {
      residual: b,
      activation: 'leakyrelu',
      leakyreluAlpha: 0.1,
      outputFormat,
    });
    const e = dsconv2d(d, grouped, 2, 'same', { groups: 2, activationBits: 4 });
    const f = dsconv2d(d, grouped, 2, 'same', {
      groups: 2,
      activationBits: null,
      bias: constant([32], 7) as tf.Tensor1D,
    });
    return [tf.add(e, f), tf.mean(d, [1, 2]), c];
  };
  await compare((x) => body(x!), [constant([2, 7, 6, 3], 8)]);
  depthwise.dispose();
});
