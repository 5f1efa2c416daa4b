/** Whole Keras models with their convolutions replaced, and the block of three in one. */
import '@dsconv/backend-cpu';
import { InvalidArgumentError } from '@dsconv/core';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import * as tfl from '@tensorflow/tfjs-layers';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DSConv2D, dsConvBlock, toDSConv } from '../src/index.js';
import { floats } from './support.js';

beforeAll(async () => {
  await tf.setBackend('dsconv-cpu');
});
beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

const picture = (batch: number, side: number, channels: number) =>
  tf.tensor4d(floats(batch * side * side * channels, 4), [batch, side, side, channels]);

/** A functional model with every kind of layer that is replaced, one of them used twice, and a branch. */
function branched(): tfl.LayersModel {
  const normal = (seed: number) => tfl.initializers.heNormal({ seed });
  const input = tfl.input({ shape: [8, 8, 3], name: 'picture' });
  const stem = tfl.layers
    .conv2d({ filters: 16, kernelSize: 3, padding: 'same', name: 'stem', kernelInitializer: normal(1) })
    .apply(input) as tfl.SymbolicTensor;
  const norm = tfl.layers.batchNormalization({ name: 'norm' }).apply(stem) as tfl.SymbolicTensor;
  const active = tfl.layers.reLU({ name: 'active' }).apply(norm) as tfl.SymbolicTensor;
  const shared = tfl.layers.conv2d({
    filters: 16,
    kernelSize: 1,
    name: 'shared',
    kernelInitializer: normal(2),
  });
  const once = shared.apply(active) as tfl.SymbolicTensor;
  const twice = shared.apply(once) as tfl.SymbolicTensor;
  const depthwise = tfl.layers
    .depthwiseConv2d({ kernelSize: 3, padding: 'same', name: 'depthwise', depthwiseInitializer: normal(3) })
    .apply(twice) as tfl.SymbolicTensor;
  const separable = tfl.layers
    .separableConv2d({
      filters: 16,
      kernelSize: 3,
      padding: 'same',
      activation: 'relu',
      name: 'separable',
      depthwiseInitializer: normal(4),
      pointwiseInitializer: normal(5),
    })
    .apply(depthwise) as tfl.SymbolicTensor;
  const sum = tfl.layers.add({ name: 'sum' }).apply([separable, active]) as tfl.SymbolicTensor;
  const pooled = tfl.layers.globalAveragePooling2d({ name: 'pooled' }).apply(sum) as tfl.SymbolicTensor;
  const logits = tfl.layers
    .dense({ units: 5, activation: 'softmax', name: 'logits', kernelInitializer: normal(6) })
    .apply(pooled) as tfl.SymbolicTensor;
  return tfl.model({ inputs: input, outputs: logits });
}

const difference = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

describe('toDSConv', () => {
  test('replaces what it is asked to, keeps the weights, and leaves the original alone', async () => {
    const model = branched();
    const x = picture(2, 8, 3);
    const before = model.predict(x) as tf.Tensor;
    const told: Record<string, string | null> = {};
    const quantized = await toDSConv(model, {
      bits: 8,
      separable: true,
      dense: true,
      blockSize: 16,
      onLayer: (name, left) => (told[name] = left),
    });
    expect(told).toEqual({ stem: null, shared: null, depthwise: null, separable: null, logits: null });
    const classes = Object.fromEntries(quantized.layers.map((layer) => [layer.name, layer.getClassName()]));
    expect(classes).toMatchObject({
      stem: 'DSConv2D',
      shared: 'DSConv2D',
      depthwise: 'DSDepthwiseConv2D',
      separable_depthwise: 'DSDepthwiseConv2D',
      separable: 'DSConv2D',
      logits_product: 'DSConv2D',
      norm: 'BatchNormalization',
    });
    const after = quantized.predict(x) as tf.Tensor;
    expect(after.shape).toEqual(before.shape);
    // Eight bits on either side.
    expect(difference(before, after)).toBeLessThan(0.02);
    expect(difference(before, model.predict(x) as tf.Tensor)).toBe(0);
    const coarse = await toDSConv(model, { bits: 2, separable: true, dense: true, blockSize: 16 });
    expect(difference(before, coarse.predict(x) as tf.Tensor)).toBeGreaterThan(difference(before, after));
  });

  test('exceptions by name', async () => {
    const model = branched();
    const told: Record<string, string | null> = {};
    const quantized = await toDSConv(model, {
      bits: 4,
      layers: { 's*': { bits: 3 }, shared: { bits: 6, blockSize: 8 }, depthwise: null },
      onLayer: (name, left) => (told[name] = left),
    });
    expect(told).toEqual({
      stem: null,
      shared: null,
      depthwise: 'it was chosen to be left',
      separable: 'separable layers are replaced where `separable` is set',
      logits: 'dense layers are replaced where `dense` is set',
    });
    expect((quantized.getLayer('stem') as DSConv2D).bits).toBe(3);
    expect(quantized.getLayer('shared').getConfig()).toMatchObject({ bits: 6, blockSize: 8 });
    expect(quantized.getLayer('depthwise').getClassName()).toBe('DepthwiseConv2D');
    await expect(toDSConv(model, { layers: { conv9: null } })).rejects.toThrow(InvalidArgumentError);
    await expect(toDSConv(model, { layers: { conv9: null } })).rejects.toThrow(
      /pattern 'conv9', which fits no convolution of the model; expected names such as stem/,
    );
  });

  test('goes into models inside of models, and Sequentials', async () => {
    const inner = tfl.sequential({
      name: 'inner',
      layers: [tfl.layers.conv2d({ filters: 8, kernelSize: 3, inputShape: [8, 8, 3], name: 'deep' })],
    });
    const model = tfl.sequential({
      name: 'outer',
      layers: [inner, tfl.layers.flatten({ name: 'flat' }), tfl.layers.dense({ units: 3, name: 'out' })],
    });
    const quantized = await toDSConv(model, { bits: 8, firstBits: 8, dense: true });
    const x = picture(1, 8, 3);
    expect(difference(model.predict(x) as tf.Tensor, quantized.predict(x) as tf.Tensor)).toBeLessThan(0.1);
    const nested = quantized.layers[0] as unknown as tfl.LayersModel;
    expect(nested.layers.at(-1)).toBeInstanceOf(DSConv2D);
  });

  test('the quantized model learns', async () => {
    const quantized = await toDSConv(branched(), { bits: 3, blockSize: 16, separable: true, dense: true });
    quantized.compile({ optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy' });
    const x = picture(20, 8, 3);
    const y = tf.oneHot(
      Array.from({ length: 20 }, (_, n) => n % 5),
      5,
    );
    const { history } = await quantized.fit(x, y, { epochs: 25, batchSize: 20, shuffle: false });
    const losses = history.loss as number[];
    expect(losses.at(-1)!).toBeLessThan(0.6 * losses[0]!);
  });
});

describe('dsConvBlock', () => {
  test('keeps the size with strides of 1, whatever kernel and dilation; SiLU unless told otherwise', () => {
    for (const [kernelSize, dilationRate] of [
      [1, 1],
      [3, 1],
      [3, 2],
      [5, 1],
    ] as const) {
      const block = dsConvBlock({ filters: 4, kernelSize, dilationRate });
      expect(block.computeOutputShape([null, 9, 9, 16])).toEqual([null, 9, 9, 4]);
      const y = block.apply(picture(1, 9, 16)) as tf.Tensor;
      expect(y.shape).toEqual([1, 9, 9, 4]);
    }
    const block = dsConvBlock({ filters: 4 });
    expect(block.getConfig()).toMatchObject({ activation: 'swish', momentum: 0.9, bits: 4, useBias: false });
    expect(
      dsConvBlock({ filters: 8, kernelSize: 3, strides: 2 }).computeOutputShape([null, 32, 32, 3]),
    ).toEqual([null, 16, 16, 8]);
  });

  test('is convolution, batch normalization and SiLU', () => {
    const block = dsConvBlock({ filters: 6, kernelSize: 3 });
    const plain = new DSConv2D({ filters: 6, kernelSize: 3, padding: 1, useBias: false });
    const x = picture(4, 6, 16);
    const y = block.apply(x, { training: true }) as tf.Tensor;
    plain.apply(x);
    plain.adopt(block.getWeights()[0]!, null);
    // The block refitted its scales once in training.
    const z = plain.apply(x, { training: true }) as tf.Tensor4D;
    const { mean, variance } = tf.moments(z, [0, 1, 2]);
    const normal = tf.batchNorm(z, mean as tf.Tensor1D, variance as tf.Tensor1D, undefined, undefined, 1e-5);
    expect(difference(y, tf.mul(normal, tf.sigmoid(normal)))).toBeLessThan(1e-4);
    const statistics = block
      .getWeights()
      .slice(-2)
      .map((w) => w.dataSync());
    const wanted = [mean, variance].map((m) => m.dataSync());
    statistics[0]!.forEach((value, c) => {
      expect(value).toBeCloseTo(0.1 * wanted[0]![c]!, 5);
    });
    statistics[1]!.forEach((value, c) => {
      expect(value).toBeCloseTo(0.9 + 0.1 * wanted[1]![c]!, 4);
    });
  });

  test('gradients reach everything that is trained, and models with it can be saved', async () => {
    const model = tfl.sequential();
    model.add(
      dsConvBlock({
        filters: 16,
        kernelSize: 3,
        inputShape: [6, 6, 3],
        kernelInitializer: tfl.initializers.heNormal({ seed: 1 }),
      }),
    );
    model.add(dsConvBlock({ filters: 4, kernelInitializer: tfl.initializers.heNormal({ seed: 2 }) }));
    model.add(tfl.layers.globalAveragePooling2d({}));
    const x = picture(8, 6, 3);
    const trainable = model.trainableWeights.map((w) => w.read() as tf.Variable);
    const { grads } = tf.variableGrads(
      () => tf.sum(tf.square(model.apply(x, { training: true }) as tf.Tensor)) as tf.Scalar,
      trainable,
    );
    expect(Object.values(grads)).toHaveLength(6);
    for (const grad of Object.values(grads)) expect(tf.max(tf.abs(grad)).dataSync()[0]).toBeGreaterThan(0);
    const artifacts = await new Promise<tf.io.ModelArtifacts>((resolve) => {
      void model.save(
        tf.io.withSaveHandler(async (saved) => {
          resolve(saved);
          return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
        }),
      );
    });
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(artifacts));
    expect((loaded.predict(x) as tf.Tensor).dataSync()).toEqual((model.predict(x) as tf.Tensor).dataSync());
  });
});
