/** The layers inside TensorFlow.js: against the operator with the frozen filter, in models, training, saving. */
import '@dsconv/backend-cpu';
import {
  type DSConvFilter,
  dsconv2d,
  dsDepthwiseConv2d,
  InvalidArgumentError,
  type ReferenceResult,
  referenceDSConv2d,
  resolveGeometry,
  roundToBfp,
} from '@dsconv/core';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import * as tfl from '@tensorflow/tfjs-layers';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freezeFilter } from '../src/filter/quantized-filter.js';
import {
  type DSConv2D,
  type DSConv2DArgs,
  type DSDepthwiseConv2D,
  dsDepthwiseConv2d as depthwiseLayer,
  dsConv2d,
  type LayerPadding,
} from '../src/index.js';
import { floats } from './support.js';

beforeAll(async () => {
  await tf.setBackend('dsconv-cpu');
});
beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

const read = (tensor: tf.Tensor | null): Float32Array | null => tensor && (tensor.dataSync() as Float32Array);

/** The filter of a built layer. */
function frozen(layer: DSConv2D | DSDepthwiseConv2D) {
  const { unshifted, kds, kdsBias, cds, cdsBias, partition, settings } = layer.state;
  const values = { w: read(unshifted())!, kds: read(kds)!, kdsBias: read(kdsBias) };
  return freezeFilter(values, settings.bits, partition, { scale: read(cds), shift: read(cdsBias) });
}

interface Options {
  strides: number;
  dilations: number;
  pad: LayerPadding;
  groups: number;
  activationBits: number | null;
}

/** The court of NUMERICS §5: every element within the bound of the float terms that an engine adds up. */
function within(y: tf.Tensor4D, { output, magnitude, terms }: ReferenceResult): void {
  const values = y.dataSync();
  expect(values.length).toBe(output.length);
  values.forEach((value, n) => {
    const bound = 4 * terms[n]! * 2 ** -24 * magnitude[n]!;
    if (!(Math.abs(value - output[n]!) <= bound)) {
      expect.fail(`output ${n} is ${value}; expected ${output[n]} within ${bound}`);
    }
  });
}

/** What the frozen operator computes, and what a layer computes: float products of x̂ and ŵ, the same number out of more terms. */
function references(x: tf.Tensor4D, filter: DSConvFilter, bias: Float32Array, options: Options) {
  const { activationBits, pad, strides, dilations, groups } = options;
  const geometry = resolveGeometry({
    inputShape: x.shape,
    kernelSize: [filter.shape[0], filter.shape[1]],
    outChannels: filter.outChannels,
    strides,
    dilations,
    pad,
    groups,
  });
  const values = x.dataSync() as Float32Array;
  const format = { bits: activationBits ?? 8, blockSize: filter.blockSize, groups };
  const rounded = activationBits === null ? values : roundToBfp(values, x.shape[3], format);
  const integers = referenceDSConv2d({ x: values, bias }, filter, { geometry, activationBits });
  const products = referenceDSConv2d({ x: rounded, bias }, filter, { geometry, activationBits: null });
  products.output.forEach((value, n) => {
    expect(Math.abs(value - integers.output[n]!)).toBeLessThanOrEqual(2 ** -22 * products.magnitude[n]!);
  });
  return { integers, products };
}

const geometries = fc.record({
  kernelSize: fc.integer({ min: 1, max: 3 }),
  strides: fc.integer({ min: 1, max: 2 }),
  dilationRate: fc.integer({ min: 1, max: 2 }),
  padding: fc.constantFrom('same' as const, 'valid' as const, 1, 2),
  size: fc.integer({ min: 5, max: 8 }),
  bits: fc.integer({ min: 2, max: 8 }),
  blockSize: fc.constantFrom(8, 16, 64),
  activationBits: fc.constantFrom(8, 6, null),
  seed: fc.integer({ min: 1, max: 1e6 }),
});

describe('a layer computes what the operator computes with the frozen filter', () => {
  test('convolutions, grouped ones and shifted ones too', async () => {
    fc.assert(
      fc.property(
        geometries,
        fc.record({
          groups: fc.constantFrom(1, 2),
          depth: fc.constantFrom(3, 16, 20),
          kdsBias: fc.boolean(),
          cds: fc.boolean(),
        }),
        ({ size, seed, ...args }, { groups, depth, ...shifters }) => {
          tf.tidy(() => {
            const channels = depth * groups;
            const layer = dsConv2d({
              filters: 6,
              groups,
              ...args,
              ...shifters,
              perChannel: false,
              useBias: true,
            });
            const x = tf.tensor4d(floats(2 * size * size * channels, seed, 3), [2, size, size, channels]);
            const y = layer.apply(x) as tf.Tensor4D;
            // Training would have moved the shifters.
            const moved = layer
              .getWeights()
              .map((w, n) => (n === 0 ? w : tf.add(w, tf.tensor(floats(w.size, seed + n, 0.05), w.shape))));
            layer.setWeights(moved);
            const z = layer.apply(x) as tf.Tensor4D;
            expect(z.shape).toEqual(y.shape);
            expect(z.shape).toEqual(layer.computeOutputShape([2, size, size, channels]));
            const filter = frozen(layer);
            const bias = read(layer.state.bias)!;
            const { activationBits, kernelSize: _, dilationRate, strides, padding } = args;
            const options = { strides, dilations: dilationRate, pad: padding, groups, activationBits };
            const { integers, products } = references(x, filter, bias, options);
            within(z, products);
            const fast = dsconv2d(x, filter, strides, padding, {
              dilations: dilationRate,
              groups,
              activationBits,
              bias: tf.tensor1d(bias),
            });
            within(fast, integers);
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  test('depthwise convolutions', () => {
    fc.assert(
      fc.property(geometries, fc.constantFrom(1, 2), ({ size, seed, ...args }, depthMultiplier) => {
        tf.tidy(() => {
          const layer = depthwiseLayer({ ...args, depthMultiplier, biasInitializer: 'randomNormal' });
          const x = tf.tensor4d(floats(size * size * 10, seed, 3), [1, size, size, 10]);
          const y = layer.apply(x) as tf.Tensor4D;
          expect(y.shape).toEqual(layer.computeOutputShape([1, size, size, 10]));
          const filter = frozen(layer);
          const bias = read(layer.state.bias)!;
          const { activationBits, dilationRate, strides, padding } = args;
          const options = { strides, dilations: dilationRate, pad: padding, groups: 1, activationBits };
          const { integers, products } = references(x, filter, bias, options);
          within(y, products);
          within(
            dsDepthwiseConv2d(x, filter, strides, padding, {
              dilations: dilationRate,
              activationBits,
              bias: tf.tensor1d(bias),
            }),
            integers,
          );
        });
      }),
      { numRuns: 30 },
    );
  });
});

describe('in models', () => {
  const small = (extra: Partial<DSConv2DArgs> = {}) => {
    const model = tfl.sequential();
    model.add(
      dsConv2d({
        filters: 16,
        kernelSize: 3,
        padding: 1,
        inputShape: [8, 8, 3],
        activation: 'relu',
        kernelInitializer: tfl.initializers.heNormal({ seed: 1 }),
      }),
    );
    model.add(
      depthwiseLayer({
        kernelSize: 3,
        strides: 2,
        padding: 'same',
        depthwiseInitializer: tfl.initializers.heNormal({ seed: 2 }),
      }),
    );
    model.add(tfl.layers.batchNormalization());
    model.add(
      dsConv2d({
        filters: 4,
        kernelSize: 1,
        bits: 3,
        blockSize: 8,
        kernelInitializer: tfl.initializers.heNormal({ seed: 3 }),
        ...extra,
      }),
    );
    model.add(tfl.layers.globalAveragePooling2d({}));
    return model;
  };

  /** Which quarter of a picture is bright. */
  const task = (count: number) => {
    const x = new Float32Array(count * 8 * 8 * 3);
    const labels = Array.from({ length: count }, (_, n) => n % 4);
    const noise = floats(x.length, 5, 0.5);
    for (let i = 0; i < x.length; i++) {
      const [column, row, n] = [Math.floor(i / 3) % 8, Math.floor(i / 24) % 8, Math.floor(i / 192)];
      const quarter = (row >= 4 ? 2 : 0) + (column >= 4 ? 1 : 0);
      x[i] = noise[i]! + (quarter === labels[n] ? 1 : 0);
    }
    return { x: tf.tensor4d(x, [count, 8, 8, 3]), y: tf.oneHot(labels, 4) };
  };

  test.each(['fitted', 'learned', 'frozen'] as const)('model.fit trains with %s scales', async (scales) => {
    const model = small({ scales });
    model.compile({ optimizer: tf.train.adam(0.01), loss: tf.losses.softmaxCrossEntropy });
    const { x, y } = task(64);
    const last = model.layers[3] as DSConv2D;
    const before = [...last.state.kds.dataSync()];
    const history = await model.fit(x, y, { epochs: 15, batchSize: 16, shuffle: false });
    const loss = history.history.loss as number[];
    expect(loss.at(-1)!).toBeLessThan(0.4 * loss[0]!);
    const names = (weights: tfl.LayerVariable[]) => weights.map((w) => w.originalName.split('/').at(-1));
    expect(names(last.weights)).toEqual(['kernel', 'bias', 'kds']);
    expect(names(last.trainableWeights)).toEqual(
      scales === 'learned' ? ['kernel', 'bias', 'kds'] : ['kernel', 'bias'],
    );
    const after = [...last.state.kds.dataSync()];
    if (scales === 'frozen') expect(after).toEqual(before);
    else expect(after).not.toEqual(before);
  });

  test('no tensors are left behind by training', async () => {
    const model = small();
    model.compile({ optimizer: tf.train.sgd(0.01), loss: tf.losses.softmaxCrossEntropy });
    const { x, y } = task(32);
    await model.fit(x, y, { epochs: 1, batchSize: 16 });
    const before = tf.memory().numTensors;
    await model.fit(x, y, { epochs: 3, batchSize: 16 });
    expect(tf.memory().numTensors).toBe(before);
  });

  test('saved, loaded and asked again it gives the same', async () => {
    const model = small({ scales: 'learned', kdsBias: true, cds: true, perChannel: false });
    model.compile({ optimizer: tf.train.adam(0.01), loss: tf.losses.softmaxCrossEntropy });
    const { x, y } = task(32);
    await model.fit(x, y, { epochs: 2, batchSize: 16 });
    let artifacts: tf.io.ModelArtifacts | null = null;
    await model.save(
      tf.io.withSaveHandler(async (saved) => {
        artifacts = saved;
        return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
      }),
    );
    const loaded = await tfl.loadLayersModel(
      tf.io.fromMemory(
        JSON.parse(JSON.stringify({ t: artifacts!.modelTopology })).t,
        artifacts!.weightSpecs!,
        artifacts!.weightData as ArrayBuffer,
      ),
    );
    expect((loaded.predict(x) as tf.Tensor).dataSync()).toEqual((model.predict(x) as tf.Tensor).dataSync());
    expect(loaded.layers.map((l) => l.getClassName())).toEqual(model.layers.map((l) => l.getClassName()));
    expect(loaded.layers[3]!.getConfig()).toEqual(model.layers[3]!.getConfig());
  });

  test('bits can be lowered, and scales be kept', async () => {
    const model = small();
    const layer = model.layers[3] as DSConv2D;
    const { x } = task(4);
    const before = (model.predict(x) as tf.Tensor).dataSync();
    layer.setBits(2);
    expect(layer.bits).toBe(2);
    expect(frozen(layer).bits).toBe(2);
    expect((model.predict(x) as tf.Tensor).dataSync()).not.toEqual(before);
    layer.freezeScales();
    expect(layer.scaleTraining).toBe('frozen');
    expect(layer.getConfig()).toMatchObject({ bits: 2, scales: 'frozen' });
  });
});

describe('refused with the name of what is wrong', () => {
  const plain = { filters: 4, kernelSize: 3 };
  test.each([
    [{ ...plain, bits: 1 }, /bits is 1; expected an integer from 2 to 8/],
    [{ ...plain, activationBits: 9 }, /activationBits is 9/],
    [{ ...plain, blockSize: 0 }, /blockSize is 0; expected a positive integer/],
    [{ ...plain, groups: 3 }, /groups is 3; expected a divisor of the 4 filters/],
    [{ ...plain, padding: -1 }, /padding is -1; expected 'valid', 'same' or a number of pixels/],
    [{ ...plain, scales: 'sometimes' }, /scales is 'sometimes'; expected one of fitted, learned, frozen/],
    [{ ...plain, kdsBias: true, scales: 'fitted' }, /scales is 'fitted' with kdsBias/],
  ])('%o', (args, message) => {
    expect(() => dsConv2d(args as never)).toThrow(InvalidArgumentError);
    expect(() => dsConv2d(args as never)).toThrow(message);
  });

  test('inputs that do not fit', () => {
    expect(() => dsConv2d(plain).apply(tf.zeros([1, 8, 8]))).toThrow(
      /reads the shape \[1,8,8\]; expected \[batch, height, width, channels\]/,
    );
    expect(() => dsConv2d({ ...plain, groups: 2 }).apply(tf.zeros([1, 8, 8, 3]))).toThrow(
      /expected a divisor of its 3 input channels/,
    );
    expect(() => dsConv2d({ ...plain, cds: true }).apply(tf.zeros([1, 8, 8, 3]))).toThrow(
      /quantized per channel/,
    );
  });
});
