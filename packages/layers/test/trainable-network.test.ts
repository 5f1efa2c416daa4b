/** Networks in training: the same numbers as the quantized network, gradients that learn, and freezing that changes nothing. */
import '@dsconv/backend-cpu';
import {
  type DSConvFilter,
  InvalidArgumentError,
  quantizeDepthwiseFilter,
  quantizeFilter,
} from '@dsconv/core';
import {
  convolve,
  createArchitecture,
  type LayerWeights,
  Network,
  outChannels,
  type Preprocessing,
  randomParameters,
} from '@dsconv/models';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TrainableNetwork } from '../src/index.js';
import { floats } from './support.js';

beforeAll(async () => {
  await tf.setBackend('dsconv-cpu');
});
beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

const preprocessing = (size: number): Preprocessing => ({
  size,
  channels: 3,
  resize: { mode: 'exact', cropRatio: 1 },
  interpolation: 'bilinear',
  antialias: true,
  range: [0, 1],
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
});

/** A float network with random weights and the statistics of batch normalizations that could have been folded into them. */
function floatNetwork(name: string, inputSize: number, classes = 5): Network {
  const architecture = createArchitecture({ name, inputSize, classes });
  const weights = new Map<string, LayerWeights>(
    [...randomParameters(architecture, 3)].map(([layer, { filter, bias }], n) => {
      const channels = outChannels(architecture.layers.find((spec) => spec.name === layer)!);
      const statistics = {
        mean: floats(channels, n + 1, 0.5),
        deviation: floats(channels, n + 2, 0.3).map((v) => Math.abs(v) + 0.5),
      };
      return [layer, { filter: filter as Float32Array, bias: bias ?? floats(channels, n, 0.1), statistics }];
    }),
  );
  return new Network({ architecture, weights, preprocessing: preprocessing(inputSize) });
}

function quantized(float: Network, bits: number, extra: { cds?: boolean; kdsBias?: boolean } = {}): Network {
  const weights = new Map<string, LayerWeights>();
  for (const { name, kind, shape } of float.architecture.layers) {
    const { filter, bias } = float.weights.get(name)!;
    if (kind === 'norm') weights.set(name, { filter, bias });
    else {
      const options = { bits, blockSize: 16, method: 'absmax' as const };
      const made: DSConvFilter =
        kind === 'depthwise'
          ? quantizeDepthwiseFilter(filter as Float32Array, shape, options)
          : quantizeFilter(
              filter as Float32Array,
              shape,
              shape[2] >= 16 ? { ...options, ...extra } : options,
            );
      weights.set(name, { filter: made, bias });
    }
  }
  const { architecture, preprocessing } = float;
  return new Network({ architecture, weights, preprocessing });
}

const picture = (batch: number, size: number) =>
  tf.tensor4d(floats(batch * size * size * 3, 11), [batch, size, size, 3]);

/** Every element within a share of the largest one. */
function near(values: ArrayLike<number>, wanted: ArrayLike<number>, share: number): void {
  expect(values.length).toBe(wanted.length);
  let largest = 0;
  for (let n = 0; n < wanted.length; n++) largest = Math.max(largest, Math.abs(wanted[n]!));
  for (let n = 0; n < wanted.length; n++) {
    if (!(Math.abs(values[n]! - wanted[n]!) <= share * largest)) {
      expect.fail(`value ${n} is ${values[n]}; expected ${wanted[n]}, the largest being ${largest}`);
    }
  }
}

describe.each([
  ['resnet20', 16],
  ['mobilenet_v2_0.5', 32],
  ['densenet121', 32],
])('%s', (name, size) => {
  test('every layer computes what the quantized layer computes, and freezing changes nothing', async () => {
    const float = floatNetwork(name, size);
    const network = quantized(float, 4);
    const training = new TrainableNetwork(network, { float });
    const frozen = await training.freeze();
    let count = 0;
    for (const spec of network.architecture.layers) {
      const layer = training.byName.get(spec.name);
      // Layers repeat each other: of the deep networks every tenth.
      if (!layer || (count++ % 10 !== 0 && name !== 'resnet20')) continue;
      const [kh, , inner] = spec.shape;
      const channels = inner;
      const x = tf.tensor4d(floats(2 * (kh + 3) ** 2 * channels, count), [2, kh + 3, kh + 3, channels]);
      const use = { activation: 'relu' as const, residual: undefined, onGrid: false };
      const options = {
        ...use,
        depthwise: spec.kind === 'depthwise',
        strides: spec.strides,
        pad: spec.pad,
        activationBits: 8,
      };
      const y = layer.forward(x, use, false).dataSync();
      const wanted = convolve(x, frozen.parameters.get(spec.name)!, options).dataSync();
      near(y, wanted, 1e-4);
    }
    expect(count).toBe(network.architecture.layers.filter(({ kind }) => kind !== 'norm').length);
    // Freezing again, with nothing trained in between, gives the same bytes.
    const again = await training.freeze();
    for (const [layer, { filter }] of frozen.weights) {
      const other = again.weights.get(layer)!.filter;
      const bytes = (f: Float32Array | DSConvFilter) =>
        f instanceof Float32Array ? Buffer.from(f.buffer) : Buffer.from(f.vqk);
      expect(bytes(other).equals(bytes(filter)), layer).toBe(true);
    }
    training.dispose();
  });

  test('batch normalizations can be restored without changing anything', () => {
    const float = floatNetwork(name, size);
    const network = quantized(float, 8);
    const plain = new TrainableNetwork(network, { float, scales: 'frozen' });
    const restored = new TrainableNetwork(network, { float, scales: 'frozen', batchNorm: 'restored' });
    let count = 0;
    for (const spec of network.architecture.layers) {
      const [a, b] = [plain.byName.get(spec.name), restored.byName.get(spec.name)];
      if (!a || !b || (count++ % 10 !== 0 && name !== 'resnet20')) continue;
      expect(b.batchNorm).not.toBeNull();
      const x = tf.tensor4d(floats(5 * 5 * spec.shape[2], 2), [1, 5, 5, spec.shape[2]]);
      if (spec.shape[0] > 5) continue;
      const use = { activation: 'linear' as const, residual: undefined, onGrid: false };
      const [y, z] = [a.forward(x, use, false).dataSync(), b.forward(x, use, false).dataSync()];
      near(z, y, 1e-4);
    }
    plain.dispose();
    restored.dispose();
  });
});

describe('training', () => {
  const steps = (training: TrainableNetwork, count: number): number[] => {
    const optimizer = tf.train.adam(2e-3);
    const x = picture(10, 16);
    const y = tf.oneHot([0, 1, 2, 3, 4, 0, 1, 2, 3, 4], 5);
    return Array.from({ length: count }, () =>
      tf.tidy(() => {
        const loss = optimizer.minimize(
          () => tf.losses.softmaxCrossEntropy(y, training.logits(x, { training: true })) as tf.Scalar,
          true,
          training.trainable,
        );
        return loss!.dataSync()[0]!;
      }),
    );
  };

  test.each([
    ['fitted', 'frozen'],
    ['learned', 'frozen'],
    ['frozen', 'frozen'],
    ['fitted', 'restored'],
  ] as const)(
    '%s scales, batch normalization %s: the loss falls, and no tensor is left behind',
    async (scales, batchNorm) => {
      const float = floatNetwork('resnet20', 16);
      const training = new TrainableNetwork(quantized(float, 3), { float, scales, batchNorm });
      const losses = steps(training, 2);
      const before = tf.memory().numTensors;
      losses.push(...steps(training, 12));
      expect(losses.at(-1)!).toBeLessThan(0.7 * losses[0]!);
      // The batch and the optimizer of the second round.
      expect(tf.memory().numTensors - before).toBeLessThanOrEqual(2 + 1 + 2 + 2 * training.trainable.length);
      const frozen = await training.freeze();
      expect([...frozen.weights.values()].every(({ filter }) => !(filter instanceof Float32Array))).toBe(
        true,
      );
      training.dispose();
      expect(() => training.logits(picture(1, 16))).toThrow(/used after dispose/);
    },
  );

  test('shifters of the 2018 form stay what they are', async () => {
    const float = floatNetwork('resnet20', 16);
    const network = quantized(float, 4, { cds: true, kdsBias: true });
    const training = new TrainableNetwork(network);
    const frozen = await training.freeze();
    for (const [name, { filter }] of frozen.weights) {
      const [a, b] = [filter as DSConvFilter, network.weights.get(name)!.filter as DSConvFilter];
      near(a.dequantize(), b.dequantize(), 1e-6);
    }
    training.dispose();
  });

  test('bits are lowered layer by layer', async () => {
    const float = floatNetwork('resnet20', 16);
    const training = new TrainableNetwork(quantized(float, 4), { float });
    training.setBits(2, (layer) => layer.startsWith('layer3'));
    const frozen = await training.freeze();
    for (const [name, { filter }] of frozen.weights) {
      expect((filter as DSConvFilter).bits).toBe(name.startsWith('layer3') ? 2 : 4);
    }
    expect(() => training.setBits(1)).toThrow(InvalidArgumentError);
    training.dispose();
  });

  test('float weights that the network was not quantized from are refused', () => {
    const float = floatNetwork('mobilenet_v2_0.5', 32);
    const scaled = new Map(float.weights);
    const [name, layer] = [...scaled].find(([, { filter }]) => (filter as Float32Array).length > 1000)!;
    const channels = float.architecture.layers.find((spec) => spec.name === name)!.shape[3];
    // As range scaling multiplies channels.
    const filter = (layer.filter as Float32Array).map((w, n) => w * (n % channels < channels / 2 ? 4 : 1));
    scaled.set(name, { ...layer, filter });
    const { architecture, preprocessing: given } = float;
    const network = quantized(new Network({ architecture, weights: scaled, preprocessing: given }), 4);
    expect(() => new TrainableNetwork(network, { float })).toThrow(/without range scaling/);
    const fine = new TrainableNetwork(quantized(float, 2), { float });
    fine.dispose();
  });

  test('another float network is refused', () => {
    const network = quantized(floatNetwork('resnet20', 16), 4);
    expect(() => new TrainableNetwork(network, { float: floatNetwork('resnet32', 16) })).toThrow(
      /float is a resnet32; expected resnet20/,
    );
    expect(() => new TrainableNetwork(network, { scales: 'never' as never })).toThrow(
      /expected one of fitted, learned, frozen/,
    );
  });
});
