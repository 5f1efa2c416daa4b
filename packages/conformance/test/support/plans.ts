/** Functions whose plans must compute what their eager run does, on every backend that has plans. */
import {
  compile,
  DisposedError,
  type DSConvFilter,
  dsconv2d,
  dsDepthwiseConv2d,
  quantizeDepthwiseFilter,
  quantizeFilter,
} from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { afterEach, expect, test } from 'vitest';

const weights = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, n) => Math.sin(n * 1.7 + seed) * 0.5);

/** Filters of the test that runs: what the garbage collector frees of earlier ones would move the counts of later ones. */
const made: DSConvFilter[] = [];

/** A quantized filter that ends with the test. */
export function filter(shape: [number, number, number, number], seed: number, more = {}): DSConvFilter {
  const values = weights(tf.util.sizeFromShape(shape), seed);
  const f = quantizeFilter(values, shape, { bits: 4, blockSize: 32, ...more });
  made.push(f);
  return f;
}

export const constant = (shape: number[], seed: number) =>
  tf.tensor(weights(tf.util.sizeFromShape(shape), seed), shape);

/** Largest difference between plan and eager run, relative to the largest output. */
export async function difference(
  body: (...inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[],
  ...shapes: number[][]
): Promise<number> {
  const inputs = shapes.map((shape, n) => constant(shape, 100 + n));
  const plan = await compile(body, ...inputs);
  expect(plan.reason).toBeNull();
  const wanted = [tf.tidy(() => body(...inputs))].flat();
  // The second run finds the arena as the first left it.
  await plan.run(...inputs);
  const found = [await plan.run(...inputs)].flat();
  plan.dispose();
  let worst = 0;
  for (const [n, tensor] of wanted.entries()) {
    expect(found[n]!.shape).toEqual(tensor.shape);
    const [a, b] = [await tensor.data(), await found[n]!.data()] as [Float32Array, Float32Array];
    const largest = a.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-30);
    for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!) / largest);
  }
  return worst;
}

/** Tests on the backend that is current when they run. */
export function testPlans(): void {
  afterEach(() => {
    for (const f of made.splice(0)) f.dispose();
  });

  test('a residual block of quantized convolutions', async () => {
    const [f1, f2, f3] = [filter([1, 1, 40, 24], 1), filter([3, 3, 24, 24], 2), filter([1, 1, 24, 40], 3)];
    const bias = constant([24], 4) as tf.Tensor1D;
    const block = (x: tf.Tensor) => {
      let y = dsconv2d(x as tf.Tensor4D, f1, 1, 'valid', { bias, activation: 'relu' });
      y = dsconv2d(y, f2, 1, 'same', { activation: 'relu6' });
      return dsconv2d(y, f3, 1, 'valid', { residual: x, activation: 'relu' });
    };
    expect(await difference((x) => block(block(x!)), [2, 7, 6, 40])).toBeLessThan(1e-6);
  });

  test('an output format, read by convolutions and as a residual', async () => {
    const [f1, f2] = [filter([3, 3, 32, 32], 1), filter([1, 1, 32, 32], 2)];
    const outputFormat = { bits: 8, blockSize: 32 };
    const body = (x: tf.Tensor) => {
      const y = dsconv2d(x as tf.Tensor4D, f1, 1, 'same', { activation: 'relu', outputFormat });
      return dsconv2d(y, f2, 1, 'same', { residual: y, activation: 'relu' });
    };
    expect(await difference((x) => body(x!), [1, 6, 6, 32])).toBeLessThan(1e-6);
  });

  test('one filter in several layers', async () => {
    const shared = filter([3, 3, 32, 32], 1);
    const body = (x: tf.Tensor) => {
      const y = dsconv2d(x as tf.Tensor4D, shared, 1, 'same', { activation: 'relu' });
      return dsconv2d(y, shared, 2, 'valid', { activation: 'silu' });
    };
    expect(await difference((x) => body(x!), [1, 6, 7, 32])).toBeLessThan(1e-6);
  });

  test('depthwise, pooling, padding, concat, mean, softmax', async () => {
    const stem = filter([3, 3, 3, 16], 1, { bits: 8 });
    const depthwise = quantizeDepthwiseFilter(weights(9 * 16, 2), [3, 3, 16, 1], { bits: 8 });
    made.push(depthwise);
    const wide = filter([1, 1, 16, 24], 3);
    const body = (input: tf.Tensor) => {
      let x = dsconv2d(input as tf.Tensor4D, stem, 2, 'same', { activation: 'relu6' });
      x = dsDepthwiseConv2d(x, depthwise, 1, 'same', { activation: 'relu6' });
      const y = dsconv2d(x, wide, 1, 'same', { activation: 'silu' });
      const pooled = tf.concat([tf.maxPool(y, 3, 2, 'same'), tf.avgPool(x, 3, 2, 'same')], 3);
      const padded = tf.pad(pooled, [
        [0, 0],
        [1, 0],
        [0, 2],
        [0, 0],
      ]);
      const channels = tf.pad(padded, [
        [0, 0],
        [0, 0],
        [0, 0],
        [3, 2],
      ]);
      return tf.softmax(tf.mean(channels, [1, 2]));
    };
    expect(await difference((x) => body(x!), [1, 15, 17, 3])).toBeLessThan(1e-5);
  });

  test('float operators, several inputs and outputs', async () => {
    const kernel = constant([3, 3, 6, 10], 1) as tf.Tensor4D;
    const spatial = constant([3, 3, 10, 1], 2) as tf.Tensor4D;
    const matrix = constant([10, 4], 3) as tf.Tensor2D;
    const body = (a: tf.Tensor, b: tf.Tensor) => {
      const x = tf.relu(tf.add(tf.conv2d(a as tf.Tensor4D, kernel, 1, 'same'), b)) as tf.Tensor4D;
      const y = tf.mul(tf.sigmoid(x), x) as tf.Tensor4D;
      const z = tf.depthwiseConv2d(y, spatial, 1, 'same');
      const logits = tf.matMul(tf.mean(z, [1, 2]) as tf.Tensor2D, matrix);
      return [logits, tf.sub(1, tf.leakyRelu(z, 0.1))];
    };
    expect(await difference((a, b) => body(a!, b!), [2, 5, 4, 6], [2, 5, 4, 10])).toBeLessThan(1e-5);
  });

  test('a LayersModel with batch normalization', async () => {
    const model = layers.sequential({
      layers: [
        layers.layers.conv2d({
          inputShape: [12, 12, 3],
          filters: 8,
          kernelSize: 3,
          strides: 2,
          useBias: false,
        }),
        layers.layers.batchNormalization(),
        layers.layers.reLU({ maxValue: 6 }),
        layers.layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' }),
        layers.layers.globalAveragePooling2d({}),
        layers.layers.dense({ units: 5, activation: 'softmax' }),
      ],
    });
    expect(await difference((x) => model.predict(x!) as tf.Tensor, [1, 12, 12, 3])).toBeLessThan(1e-5);
  });

  test('an operation that is not known is named, and the function runs all the same', async () => {
    const x = constant([3, 4], 1);
    const plan = await compile((t) => tf.cumsum(t, 0), x);
    expect(plan.mode).toBe('eager');
    expect(plan.reason).toContain('operation Cumsum is not known');
    expect([...(await ((await plan.run(x)) as tf.Tensor).data())]).toEqual([
      ...(await tf.cumsum(x, 0).data()),
    ]);
  });

  test('several plans and several runs at once; dispose', async () => {
    const f = filter([1, 1, 32, 32], 1);
    const run = (x: tf.Tensor) => dsconv2d(x as tf.Tensor4D, f, 1, 'valid');
    const inputs = [1, 2, 3].map((seed) => constant([1, 4, 4, 32], seed));
    const plans = [await compile(run, inputs[0]!), await compile(run, inputs[0]!)];
    const wanted = await Promise.all(inputs.map(async (x) => [...(await run(x).data())]));
    const found = await Promise.all(plans.flatMap((plan) => inputs.map((x) => plan.run(x))));
    for (const [n, y] of found.entries()) {
      expect([...(await (y as tf.Tensor).data())]).toEqual(wanted[n % 3]);
    }
    for (const plan of plans) plan.dispose();
    await expect(plans[0]!.run(inputs[0]!)).rejects.toThrow(DisposedError);
    // Filters belong to the caller and outlive the plans.
    expect([...(await run(inputs[0]!).data())]).toEqual(wanted[0]);
  });
}
