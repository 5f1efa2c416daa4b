/** Quantization that keeps accuracy: its mathematics one by one, then whole networks on pictures that were not calibrated on. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import {
  BackendUnavailableError,
  type DSConvFilter,
  InvalidArgumentError,
  quantizeFilter,
  selectBackend,
} from '@dsconv/core';
import {
  createArchitecture,
  getModel,
  type LayerWeights,
  Network,
  outChannels,
  preprocess,
  randomParameters,
  writeNetwork,
} from '@dsconv/models';
import { memory, setBackend, type Tensor4D, tensor4d } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { dataMissing, dataPath, readCifar } from '../../models/test/support/shared-data.js';
import { blockGrid } from '../src/calibration/block-grid.js';
import { correctedBias, meanInputs } from '../src/calibration/correct-biases.js';
import {
  addToDiagonal,
  cholesky,
  type Matrix,
  matrix,
  multiply,
  solveCholesky,
} from '../src/calibration/matrix.js';
import { rectified } from '../src/calibration/moments.js';
import { refitScales } from '../src/calibration/refit-scales.js';
import {
  improveIntegers,
  type RoundedWeights,
  residual,
  roundWithFeedback,
} from '../src/calibration/round-weights.js';
import { calibrateNetwork, quantizeNetwork, readFloatNetwork, signalToNoise } from '../src/index.js';
import { planNetwork } from '../src/quantize-network.js';
import { seededRandom } from '../src/random.js';

beforeAll(() => selectBackend([BACKEND_NAME]));

/** Normally distributed, by Box and Muller. */
function normal(length: number, seed: number, deviation = 1): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from(
    { length },
    () => deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

/** The covariance of correlated inputs of unequal size. */
async function covariance(inputs: number, seed: number): Promise<Matrix> {
  const samples = 4 * inputs;
  const x = await multiply(
    matrix(samples, inputs, normal(samples * inputs, seed)),
    matrix(inputs, inputs, normal(inputs * inputs, seed + 1, 0.1)),
  );
  const own = normal(samples * inputs, seed + 2);
  for (let n = 0; n < own.length; n++) x.data[n]! += own[n]! * (0.05 + (n % inputs) / inputs);
  const h = await multiply(x, x, true);
  for (let n = 0; n < h.data.length; n++) h.data[n]! /= samples;
  return h;
}

describe('moments of a clipped normal distribution', () => {
  it.each([
    [0, 1, Infinity],
    [1.3, 0.7, 6],
    [5.5, 2, 6],
    [-2, 1, Infinity],
    [9, 1.5, 6],
    [0.4, 0, 6],
  ])('mean %d, deviation %d, ceiling %d, as numeric integration has them', (mean, deviation, ceiling) => {
    const found = rectified(
      { mean: Float64Array.of(mean), variance: Float64Array.of(deviation ** 2) },
      ceiling,
    );
    let [first, second] = [0, 0];
    const steps = 20_000;
    for (let n = 0; n < steps; n++) {
      const z = 16 * ((n + 0.5) / steps) - 8;
      const y = Math.min(Math.max(mean + deviation * z, 0), ceiling);
      const weight = ((16 / steps) * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * Math.PI);
      first += weight * y;
      second += weight * y * y;
    }
    expect(found.mean[0]).toBeCloseTo(first, 5);
    expect(found.variance[0]).toBeCloseTo(second - first * first, 4);
  });
});

describe('the fit of one layer', () => {
  const [inputs, outputs] = [150, 24];

  it('factors and solves across panels', async () => {
    const h = addToDiagonal(await covariance(inputs, 3), 0.01);
    const l = await cholesky(h, 1e-9);
    for (let r = 0; r < inputs; r += 7) {
      for (let c = 0; c <= r; c += 5) {
        let sum = 0;
        for (let k = 0; k <= c; k++) sum += l.data[r * inputs + k]! * l.data[c * inputs + k]!;
        expect(sum).toBeCloseTo(h.data[r * inputs + c]!, 4);
      }
    }
    const b = matrix(inputs, outputs, normal(inputs * outputs, 9));
    const back = await multiply(h, await solveCholesky(l, b));
    for (const [n, value] of back.data.entries()) expect(value).toBeCloseTo(b.data[n]!, 3);
  });

  it.each([2, 3, 4, 8])('at %i bits every step lowers the error of the outputs', async (bits) => {
    const h = addToDiagonal(await covariance(inputs, 5), 0.02);
    const weights = matrix(inputs, outputs, normal(inputs * outputs, 6, 0.1));
    const shape = [1, 1, inputs, outputs] as const;
    const grid = blockGrid(shape, 32, false);
    const first = quantizeFilter(weights.data, shape, { bits, blockSize: 32, scales: 'float32' });
    const rounded: RoundedWeights = {
      q: matrix(inputs, outputs, Float32Array.from(first.unpack())),
      scales: matrix(grid.blocks, outputs, first.scales('kds')!),
      blockOf: grid.blockOf,
      bits,
    };
    const error = async (): Promise<number> => {
      const wrong = residual(weights, rounded);
      const product = await multiply(h, wrong);
      return product.data.reduce((sum, value, n) => sum + value * wrong.data[n]!, 0);
    };
    const weighted = await multiply(h, weights);
    const errors = [await error()];
    await roundWithFeedback(h, weights, rounded);
    errors.push(await error());
    for (let round = 0; round < 2; round++) {
      await refitScales(h, weighted, grid, rounded);
      errors.push(await error());
      await improveIntegers(h, weights, rounded);
      errors.push(await error());
    }
    expect(errors[1]! / errors[0]!).toBeLessThan(0.95);
    for (let n = 2; n < errors.length; n++) expect(errors[n]! / errors[n - 1]!).toBeLessThan(1.0001);
    const [low, high] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
    for (const q of rounded.q.data) expect(Number.isInteger(q) && q >= low && q <= high).toBe(true);
  });
});

const { preprocessing } = getModel('resnet20.cifar10');

/** Random weights, and for some architectures statistics as if they came from batch normalizations. */
function randomNetwork(name: string, withStatistics: boolean): Network {
  const architecture = createArchitecture({ name, classes: 10, inputSize: 32 });
  const weights = randomParameters(architecture, 11);
  if (withStatistics) {
    for (const layer of architecture.layers) {
      if (layer.source.norm === null || layer.kind === 'norm') continue;
      const channels = outChannels(layer);
      const statistics = {
        mean: new Float32Array(channels).fill(0.5),
        deviation: new Float32Array(channels).fill(1),
      };
      weights.set(layer.name, { ...weights.get(layer.name)!, statistics });
    }
  }
  return new Network({ architecture, weights, preprocessing });
}

describe('bias correction without data', () => {
  it('adds what rounding took from the mean, tap by tap and channel by channel', () => {
    const layer = { kind: 'conv2d', shape: [1, 2, 2, 2] } as never;
    // Taps × inputs × outputs, all errors different.
    const exact = Float32Array.of(1, 2, 4, 8, 16, 32, 64, 128);
    const mean = Float64Array.of(1, 10);
    const bias = correctedBias(layer, exact, new Float32Array(8), Float32Array.of(1000, 0), mean);
    expect([...bias]).toEqual([1000 + 1 + 40 + 16 + 640, 2 + 80 + 32 + 1280]);
    const depthwise = { kind: 'depthwise', shape: [2, 1, 2, 1] } as never;
    const corrected = correctedBias(depthwise, Float32Array.of(1, 2, 4, 8), new Float32Array(4), null, mean);
    expect([...corrected]).toEqual([5, 100]);
  });

  it('knows the mean inputs of every layer behind batch normalizations', () => {
    const inputsOf = (name: string): Map<string, Float64Array> => {
      const network = randomNetwork(name, true);
      const found = meanInputs(network, planNetwork(network, { bits: 4 }));
      network.dispose();
      return found;
    };
    const mobileNet = inputsOf('mobilenet_v1_0.25');
    expect(mobileNet.has('conv1')).toBe(false);
    expect(mobileNet.size).toBe(createArchitecture('mobilenet_v1_0.25').layers.length - 1);
    // E[min(max(z, 0), 6)] of N(0.5, 1), behind the activation and behind the pooling.
    expect(mobileNet.get('conv_pw_3')![0]).toBeCloseTo(0.6978, 4);
    expect(mobileNet.get('conv_preds')![7]).toBeCloseTo(0.6978, 4);
    // The stream of a residual network grows from block to block.
    const resNet = inputsOf('resnet20');
    expect(resNet.get('layer1.0.conv1')![0]).toBeCloseTo(0.6978, 4);
    expect(resNet.get('layer1.1.conv1')![0]).toBeGreaterThan(1);
    expect(resNet.get('layer1.2.conv1')![0]).toBeGreaterThan(resNet.get('layer1.1.conv1')![0]!);
    expect(inputsOf('googlenet').get('inception4c.branch2.0')).toHaveLength(512);
  });

  it('leaves networks without batch normalization alone', async () => {
    const float = randomNetwork('squeezenet1_1', true);
    const { network, report } = await quantizeNetwork(float, { bits: 4, biasCorrection: true });
    expect(report.correctedBiases).toBe(0);
    for (const [name, { bias }] of network.weights) expect(bias).toEqual(float.weights.get(name)!.bias);
  });

  it('is done by default where the backend can, and only rounds where it cannot', async () => {
    const float = randomNetwork('mobilenet_v1_0.25', true);
    const corrected = await quantizeNetwork(float, { bits: 4, method: 'absmax' });
    expect(corrected.report.correctedBiases).toBe(float.architecture.layers.length - 1);
    await setBackend('cpu');
    try {
      const plain = await quantizeNetwork(float, { bits: 4, method: 'absmax' });
      expect(plain.report.correctedBiases).toBe(0);
      await expect(quantizeNetwork(float, { bits: 4, biasCorrection: true })).rejects.toThrow(
        BackendUnavailableError,
      );
    } finally {
      await setBackend(BACKEND_NAME);
    }
  });
});

describe('calibration', () => {
  const length = 32 * 32 * 3;
  /** Smooth pictures, each another. */
  const picture = (seed: number): Float32Array => {
    const [a, b, c, d] = normal(4, seed, 0.4) as unknown as [number, number, number, number];
    return Float32Array.from({ length }, (_, n) => {
      const [x, y] = [Math.floor(n / 3) % 32, Math.floor(n / 96)];
      return Math.sin(a * x + b * y + (n % 3)) + Math.cos(c * x - d * y);
    });
  };
  const pictures = { count: 12, read: async (n: number) => picture(n) };
  const strange = (): Tensor4D => {
    const data = new Float32Array(8 * length);
    for (let n = 0; n < 8; n++) data.set(picture(100 + n), n * length);
    return tensor4d(data, [8, 32, 32, 3]);
  };
  const logits = (network: Network): Float32Array => {
    const x = strange();
    const y = network.logits(x);
    const values = Float32Array.from(y.dataSync());
    x.dispose();
    y.dispose();
    return values;
  };

  it.each(['resnet20', 'mobilenet_v1_0.25', 'squeezenet1_1', 'densenet121'])(
    '%s: logits of other pictures come out nearer than by rounding',
    // DenseNet's 120 layers, on a busy machine.
    { timeout: 180_000 },
    async (name) => {
      const float = randomNetwork(name, false);
      const expected = logits(float);
      const options = { bits: 3, blockSize: 32 };
      const plain = await quantizeNetwork(float, options);
      const { network, report } = await calibrateNetwork(float, pictures, options);
      expect(report).toMatchObject({ pictures: 12, rounded: [] });
      expect(report.kernelBytesAfter).toBe(plain.report.kernelBytesAfter);
      const [rounded, calibrated] = [plain.network, network].map((n) => signalToNoise(expected, logits(n))!);
      expect(calibrated! - rounded!).toBeGreaterThan(3);
    },
  );

  it('is the same for the same seed, and leaves no tensor behind', async () => {
    const float = randomNetwork('resnet20', false);
    const before = memory().numTensors;
    const make = async (seed: number): Promise<Network> =>
      (await calibrateNetwork(float, pictures, { bits: 3, rows: 1200, seed })).network;
    const [a, b, c] = [await make(1), await make(1), await make(2)];
    expect(memory().numTensors).toBe(before);
    const bytes = (network: Network): Buffer => Buffer.from(writeNetwork(network));
    expect(bytes(a).equals(bytes(b))).toBe(true);
    expect(bytes(a).equals(bytes(c))).toBe(false);
  });

  it('takes as many pictures as fit into the memory it is given', async () => {
    const float = randomNetwork('resnet20', false);
    const read: number[] = [];
    const many = {
      count: 1000,
      read: async (n: number) => {
        read.push(n);
        return picture(n);
      },
    };
    const { report } = await calibrateNetwork(float, many, { bits: 4, rows: 500, memory: 2 ** 21 });
    expect(report.pictures).toBe(read.length);
    expect(read.length).toBeGreaterThan(1);
    expect(read.length).toBeLessThan(20);
    expect(new Set(read).size).toBe(read.length);
    expect(read).toEqual([...read].sort((a, b) => a - b));
  });

  it('says what is wrong with pictures and options before it begins', async () => {
    const float = randomNetwork('resnet20', false);
    const before = memory().numTensors;
    const failing = (source: typeof pictures, bits = 4) => calibrateNetwork(float, source, { bits });
    await expect(failing({ ...pictures, count: 0 })).rejects.toThrow(InvalidArgumentError);
    await expect(failing(pictures, 9)).rejects.toThrow(/bits is 9/);
    const short = { count: 2, read: async () => new Float32Array(5) };
    await expect(failing(short)).rejects.toThrow('picture 0 has 5 values; expected 3072 for [32,32,3]');
    const absent = {
      count: 16,
      read: async (n: number) => {
        if (n === 12) throw new Error('gone');
        return picture(n);
      },
    };
    await expect(failing(absent)).rejects.toThrow('gone');
    const poisoned = new Map<string, LayerWeights>(float.weights);
    const { filter, bias } = poisoned.get('layer2.1.conv1')!;
    const bad = (filter as Float32Array).slice();
    bad[3] = Number.NaN;
    poisoned.set('layer2.1.conv1', { filter: bad, bias });
    const network = new Network({ architecture: float.architecture, weights: poisoned, preprocessing });
    await expect(calibrateNetwork(network, pictures, { bits: 4 })).rejects.toThrow(/layer2\.1\.conv1/);
    expect(memory().numTensors).toBe(before);
  });
});

describe.skipIf(dataMissing('cifar-resnet20.safetensors', 'cifar10-test.bin'))(
  'CIFAR ResNet-20 at 2 bits (needs the measuring data)',
  () => {
    it('agrees with itself in float, calibrated best', { timeout: 120_000 }, async () => {
      const float = await readFloatNetwork(dataPath('cifar-resnet20.safetensors'));
      const raw = readCifar(700).map(({ data }) => ({ data, width: 32, height: 32, channels: 3 }) as const);
      const xs = raw.map((image) => preprocess(image, float.preprocessing));
      const x = (() => {
        const data = new Float32Array(600 * 3072);
        xs.slice(0, 600).forEach((values, n) => {
          data.set(values, n * 3072);
        });
        return tensor4d(data, [600, 32, 32, 3]);
      })();
      const classes = (network: Network): number[] => {
        const rows = network.logits(x).arraySync();
        return rows.map((row) => row.indexOf(Math.max(...row)));
      };
      const expected = classes(float);
      const agreement = (network: Network): number => {
        const found = classes(network);
        network.dispose();
        return found.filter((value, n) => value === expected[n]).length / 600;
      };
      const options = { bits: 2, blockSize: 32 };
      // Calibrated on a hundred others.
      const pictures = { count: 100, read: async (n: number) => xs[600 + n]! };
      const fit = { targetDamping: 0.1, roundingDamping: 0.03 };
      const calibrated = await calibrateNetwork(float, pictures, { ...options, fit });
      const { bits } = calibrated.network.weights.get('layer1.0.conv1')!.filter as DSConvFilter;
      expect(bits).toBe(2);
      const [plain, corrected, best] = [
        agreement((await quantizeNetwork(float, { ...options, biasCorrection: false })).network),
        agreement((await quantizeNetwork(float, { ...options, biasCorrection: true })).network),
        agreement(calibrated.network),
      ];
      expect(corrected).toBeGreaterThan(plain!);
      expect(best).toBeGreaterThan(corrected! + 0.2);
      expect(best).toBeGreaterThan(0.85);
    });
  },
);
