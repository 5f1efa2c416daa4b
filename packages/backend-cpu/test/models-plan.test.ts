/** Plans of models that users load: `tf.loadGraphModel` and `tf.loadLayersModel`. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile, dsconv2d, quantizeFilter, selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, test } from 'vitest';
import { GraphBuilder } from './graph-builder.js';
import { ENGINE_BACKENDS } from './tiers.js';

const picture = (shape: number[], seed = 5) =>
  tf.tensor(
    Float32Array.from({ length: tf.util.sizeFromShape(shape) }, (_, n) => Math.cos(n * 0.9 + seed)),
    shape,
  );

/** The plan of a function gives what the function gives, within float32's rounding of the largest output; twice, for the arena. */
async function expectPlanned(body: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor): Promise<void> {
  const plan = await compile((input) => body(input!), x);
  expect(plan.reason).toBeNull();
  const wanted = tf.tidy(() => body(x));
  for (let run = 0; run < 2; run++) {
    const found = (await plan.run(x)) as tf.Tensor;
    expect(found.shape).toEqual(wanted.shape);
    const [a, b] = [wanted.dataSync(), found.dataSync()] as [Float32Array, Float32Array];
    const largest = a.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-30);
    a.forEach((value, n) => {
      expect(Math.abs(value - b[n]!) / largest, `output ${n}`).toBeLessThan(1e-5);
    });
    // Not a constant, which any plan could give.
    expect(new Set(a).size).toBeGreaterThan(1);
  }
  plan.dispose();
}

const window = (strides: number, padding: string, ksize?: number) => ({
  strides: [1, strides, strides, 1],
  padding,
  data_format: 'NHWC',
  dilations: [1, 1, 1, 1],
  ...(ksize === undefined ? {} : { ksize: [1, ksize, ksize, 1] }),
});

/** The operations as a converter leaves them that fuses nothing. */
function plainGraph(): GraphBuilder {
  const g = new GraphBuilder();
  let x = g.input([1, 12, 13, 3]);
  x = g.node('Sub', [x, g.weight([3], 1)]);
  x = g.node('RealDiv', [x, g.constant([], Float32Array.of(0.5))]);
  x = g.node('Pad', [x, g.constant([4, 2], Int32Array.of(0, 0, 0, 1, 0, 1, 0, 0))]);
  x = g.node('Conv2D', [x, g.weight([3, 3, 3, 8], 2)], window(2, 'VALID'));
  x = g.node('BiasAdd', [x, g.weight([8], 3)]);
  x = g.node('Relu6', [x]);
  x = g.node('DepthwiseConv2dNative', [x, g.weight([3, 3, 8, 1], 4)], window(1, 'SAME'));
  const ones = () => g.constant([8], new Float32Array(8).fill(1.3));
  const statistics = [g.weight([8], 5), g.weight([8], 6), g.weight([8], 7), ones()];
  x = g.node('FusedBatchNormV3', [x, ...statistics], { epsilon: 0.001, is_training: false });
  const shortcut = g.node('Relu', [x]);
  const pooled = g.node('MaxPool', [shortcut], window(1, 'SAME', 3));
  const averaged = g.node('AvgPool', [shortcut], window(1, 'SAME', 2));
  x = g.node('AddV2', [pooled, averaged]);
  x = g.node('ConcatV2', [x, shortcut, g.integers(3)], { N: 2 });
  x = g.node('Mean', [x, g.integers(1, 2)], { keep_dims: false });
  // A shape that is calculated, as exported Keras models have it.
  const shape = g.node('Pack', [g.constant([], Int32Array.of(-1)), g.constant([], Int32Array.of(16))], {
    N: 2,
    axis: 0,
  });
  x = g.node('Reshape', [x, shape]);
  x = g.node('MatMul', [x, g.weight([16, 5], 8)], { transpose_a: false, transpose_b: false });
  x = g.node('Add', [x, g.weight([5], 9)]);
  g.node('Softmax', [x]);
  return g;
}

/** The operations as the tfjs converter fuses them, and what else classifiers consist of. */
function fusedGraph(): GraphBuilder {
  const g = new GraphBuilder();
  let x = g.input([1, 11, 10, 3]);
  const fused = { fused_ops: ['BiasAdd', 'Relu6'], num_args: 1, epsilon: 0 };
  x = g.node('_FusedConv2D', [x, g.weight([3, 3, 3, 8], 1), g.weight([8], 2)], {
    ...window(2, 'SAME'),
    ...fused,
  });
  const depthwise = [x, g.weight([3, 3, 8, 1], 3), g.weight([8], 4)];
  const linear = g.node('FusedDepthwiseConv2dNative', depthwise, {
    ...window(1, 'SAME'),
    ...fused,
    fused_ops: ['BiasAdd'],
  });
  // Hard swish and squeeze and excitation.
  const gate = g.node('Relu6', [g.node('AddV2', [linear, g.constant([], Float32Array.of(3))])]);
  x = g.node('Mul', [g.node('Mul', [linear, gate]), g.constant([], Float32Array.of(1 / 6))]);
  const squeezed = g.node('Mean', [x, g.integers(1, 2)], { keep_dims: true });
  const excited = g.node('Sigmoid', [
    g.node('Conv2D', [squeezed, g.weight([1, 1, 8, 8], 5)], window(1, 'SAME')),
  ]);
  x = g.node('Mul', [x, excited]);
  // A normalization that nobody folded: its factor depends on weights alone.
  const variance = g.constant([8], Float32Array.of(0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4));
  const factor = g.node('Rsqrt', [g.node('Add', [variance, g.constant([], Float32Array.of(0.01))])]);
  x = g.node('Add', [g.node('Mul', [x, factor]), g.weight([8], 6)]);
  x = g.node('LeakyRelu', [x], { alpha: 0.1 });
  x = g.node('Maximum', [x, g.node('Neg', [g.node('Tanh', [x])])]);
  x = g.node('AddN', [x, g.node('Square', [x]), g.node('SquaredDifference', [x, linear])], { N: 3 });
  const both = [
    g.node('Max', [x, g.integers(1, 2)], { keep_dims: false }),
    g.node('Sum', [x, g.integers(1, 2)], { keep_dims: false }),
  ];
  x = g.node('ConcatV2', [...both, g.integers(-1)], { N: 2 });
  x = g.node('ExpandDims', [x, g.integers(1)]);
  x = g.node('Squeeze', [x], { squeeze_dims: [1] });
  x = g.node('_FusedMatMul', [x, g.weight([16, 5], 7), g.weight([5], 8)], {
    fused_ops: ['BiasAdd', 'Relu'],
    num_args: 1,
    epsilon: 0,
    transpose_a: false,
    transpose_b: false,
  });
  g.node('Minimum', [g.node('Exp', [g.node('Identity', [x])]), g.constant([], Float32Array.of(1e4))]);
  return g;
}

describe.each(ENGINE_BACKENDS)('plans of loaded models on %s', (name) => {
  beforeAll(async () => {
    await selectBackend([name]);
  });

  test('a GraphModel of plain operations', async () => {
    const model = await plainGraph().load();
    await expectPlanned((x) => model.predict(x) as tf.Tensor, picture([1, 12, 13, 3]));
    model.dispose();
  });

  test('a GraphModel of fused operations', async () => {
    const model = await fusedGraph().load();
    await expectPlanned((x) => model.execute(x) as tf.Tensor, picture([1, 11, 10, 3]));
    model.dispose();
  });

  test('a GraphModel with an operation that is not known names it and runs eagerly', async () => {
    const g = new GraphBuilder();
    g.node('Cumsum', [g.node('Relu', [g.input([3, 4])]), g.constant([], Int32Array.of(1))]);
    const model = await g.load();
    const x = picture([3, 4]);
    const plan = await compile((input) => model.predict(input!) as tf.Tensor, x);
    expect(plan).toMatchObject({
      mode: 'eager',
      reason: expect.stringContaining('operation Cumsum is not known'),
    });
    const found = (await plan.run(x)) as tf.Tensor;
    expect([...found.dataSync()]).toEqual([...tf.cumsum(tf.relu(x), 1).dataSync()]);
  });

  test('values that are seen with other numbers of channels', async () => {
    const filter = quantizeFilter(
      Float32Array.from({ length: 8 * 32 * 32 }, (_, n) => Math.sin(n)).subarray(0, 32 * 32),
      [1, 1, 32, 32],
      { bits: 4, blockSize: 32 },
    );
    const read = (x: tf.Tensor) => dsconv2d(x as tf.Tensor4D, filter, 1, 'same');
    // A dense layer before a picture, a concatenation of rows, a border of channels, a mean of columns.
    const matrix = picture([6, 128], 1) as tf.Tensor2D;
    await expectPlanned(
      (x) => read(tf.reshape(tf.relu(tf.matMul(x as tf.Tensor2D, matrix)), [2, 2, 1, 32])),
      picture([1, 6]),
    );
    await expectPlanned((x) => read(tf.concat([x, tf.relu(x)], 1)), picture([1, 2, 3, 32]));
    const borders: [number, number][] = [
      [0, 0],
      [0, 0],
      [0, 0],
      [3, 1],
    ];
    await expectPlanned((x) => read(tf.pad(x, borders)), picture([1, 2, 3, 28]));
    await expectPlanned((x) => read(tf.expandDims(tf.mean(x, 3), 0)), picture([3, 4, 32, 5]));
    await expectPlanned(
      (x) => read(tf.transpose(tf.expandDims(tf.max(x, 1), 1), [0, 2, 1, 3])),
      picture([2, 5, 4, 32]),
    );
  });

  test('a LayersModel of the other layers that classifiers have', async () => {
    const l = layers.layers;
    const input = layers.input({ shape: [10, 10, 4] });
    const apply = (layer: layers.layers.Layer, x: layers.SymbolicTensor | layers.SymbolicTensor[]) =>
      layer.apply(x) as layers.SymbolicTensor;
    let x = apply(
      l.zeroPadding2d({
        padding: [
          [0, 1],
          [1, 0],
        ] as never,
      }),
      input,
    );
    x = apply(l.separableConv2d({ filters: 8, kernelSize: 3, strides: 2, activation: 'hardSigmoid' }), x);
    const side = apply(l.conv2d({ filters: 8, kernelSize: 1, activation: 'tanh' }), x);
    x = apply(l.add(), [x, side]);
    x = apply(l.concatenate(), [apply(l.multiply(), [x, side]), apply(l.maximum(), [x, side])]);
    x = apply(l.dropout({ rate: 0.5 }), apply(l.averagePooling2d({ poolSize: 2, padding: 'same' }), x));
    x = apply(l.globalMaxPooling2d({}), x);
    const model = layers.model({
      inputs: input,
      outputs: apply(l.dense({ units: 3, activation: 'softmax' }), x),
    });
    await expectPlanned((t) => model.predict(t) as tf.Tensor, picture([1, 10, 10, 4]));
    model.dispose();
  });
});

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const folder = join(process.env.DSCONV_DATA ?? join(root, '../shared/data'), 'mobilenet-v1-0.75-224');

// The photographs' network, 10 MB: not in the repository.
describe.skipIf(!existsSync(folder))(
  `MobileNet as a LayersModel, from ${existsSync(folder) ? 'the shared data' : 'data that are not here'}`,
  () => {
    test.each(ENGINE_BACKENDS.filter((name) => !name.endsWith('wasm-simd')))('on %s', async (name) => {
      await selectBackend([name]);
      const { modelTopology, weightsManifest } = JSON.parse(
        readFileSync(join(folder, 'model.json'), 'utf8'),
      ) as {
        modelTopology: object;
        weightsManifest: { paths: string[]; weights: tf.io.WeightsManifestEntry[] }[];
      };
      const shards = weightsManifest.flatMap(({ paths }) =>
        paths.map((path) => readFileSync(join(folder, path))),
      );
      const bytes = Uint8Array.from(Buffer.concat(shards));
      const weightSpecs = weightsManifest.flatMap(({ weights }) => weights);
      const model = await layers.loadLayersModel(
        tf.io.fromMemory({ modelTopology, weightSpecs, weightData: bytes.buffer }),
      );
      await expectPlanned((x) => model.predict(x) as tf.Tensor, picture([1, 224, 224, 3]));
      model.dispose();
    });
  },
);
