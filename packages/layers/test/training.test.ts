/** The loops of training on a task that a tiny network learns in a second. */
import '@dsconv/backend-cpu';
import { InvalidArgumentError, quantizeFilter } from '@dsconv/core';
import { createArchitecture, type LayerWeights, Network, randomParameters } from '@dsconv/models';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  adapt,
  batchesOf,
  cosineRate,
  DivergedError,
  finetune,
  freshNetwork,
  gradually,
  type PictureSource,
  type ResumePoint,
  reestimateBatchNorm,
  restoreSnapshot,
  TrainableNetwork,
  type TrainingProgress,
  takeSnapshot,
} from '../src/index.js';
import { floats } from './support.js';

beforeAll(async () => {
  await tf.setBackend('dsconv-cpu');
});

const SIDE = 8;

/** Pictures of which one quarter is bright; its number is the class. */
function quarters(count: number, seed: number): PictureSource {
  const length = SIDE * SIDE * 3;
  const noise = floats(count * length, seed, 0.5);
  return {
    count,
    shape: [SIDE, SIDE, 3],
    label: (n) => n % 4,
    read(n, to) {
      for (let i = 0; i < length; i++) {
        const [column, row] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE)];
        const quarter = (row >= SIDE / 2 ? 2 : 0) + (column >= SIDE / 2 ? 1 : 0);
        to[i] = noise[n * length + i]! + (quarter === n % 4 ? 1 : 0);
      }
    },
  };
}

function floatNetwork(classes = 4): Network {
  const architecture = createArchitecture({ name: 'resnet20', inputSize: SIDE, classes });
  const weights = new Map<string, LayerWeights>(
    [...randomParameters(architecture, 7)].map(([name, { filter, bias }]) => [
      name,
      { filter: (filter as Float32Array).map((w) => w * 0.7), bias: bias ?? null },
    ]),
  );
  return new Network({
    architecture,
    weights,
    preprocessing: {
      size: SIDE,
      channels: 3,
      resize: { mode: 'exact', cropRatio: 1 },
      interpolation: 'bilinear',
      antialias: true,
      range: [0, 1],
      mean: [0, 0, 0],
      std: [1, 1, 1],
    },
  });
}

function quantized(float: Network, bits: number): Network {
  const { architecture, preprocessing } = float;
  const weights = new Map<string, LayerWeights>(
    architecture.layers.map(({ name, shape }) => {
      const { filter, bias } = float.weights.get(name)!;
      return [name, { filter: quantizeFilter(filter as Float32Array, shape, { bits, blockSize: 16 }), bias }];
    }),
  );
  return new Network({ architecture, weights, preprocessing });
}

async function accuracy(
  network: { logits(x: tf.Tensor4D): tf.Tensor2D },
  source: PictureSource,
): Promise<number> {
  let right = 0;
  for await (const { x, shape, labels } of batchesOf(source, source.count, { seed: 1, epoch: 0 })) {
    const best = tf.tidy(() => tf.argMax(network.logits(tf.tensor4d(x, shape)), 1).dataSync());
    for (const [n, label] of labels!.entries()) if (best[n] === label) right++;
  }
  return right / source.count;
}

describe('finetune', () => {
  test('learns, tells what it does, keeps the best, and freezes to what it was', async () => {
    const float = floatNetwork();
    const student = new TrainableNetwork(quantized(float, 3), { float });
    const [source, others] = [quarters(96, 3), quarters(64, 4)];
    const steps: TrainingProgress[] = [];
    const before = await accuracy(student, others);
    const numTensors = tf.memory().numTensors;
    const result = await finetune(student, {
      source,
      epochs: 4,
      batchSize: 16,
      learningRate: 1e-2,
      augmentation: { shift: 1 },
      validate: (network) => accuracy(network, others),
      onStep: (progress) => steps.push(progress),
    });
    expect(tf.memory().numTensors).toBe(numTensors);
    const after = await accuracy(student, others);
    expect(after).toBeGreaterThan(Math.max(0.8, before));
    expect(after).toBe(Math.max(before, ...result.epochs.map(({ score }) => score!)));
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 24 }, (_, n) => n + 1));
    expect(steps.at(-1)).toMatchObject({ epoch: 4, steps: 24, secondsLeft: 0 });
    expect(steps.at(-1)!.accuracy).toBeGreaterThan(0.5);
    const frozen = await student.freeze();
    expect(Math.abs((await accuracy(frozen, others)) - after)).toBeLessThanOrEqual(2 / 64);
    student.dispose();
  });

  test('learns from scratch, batch normalizations too', async () => {
    const float = freshNetwork(floatNetwork(), { seed: 5 });
    expect(float.weights.get('conv1')!.filter).not.toEqual(
      freshNetwork(floatNetwork(), { seed: 6 }).weights.get('conv1')!.filter,
    );
    const student = new TrainableNetwork(quantized(float, 4), { float, batchNorm: 'restored' });
    const [source, others] = [quarters(96, 3), quarters(64, 4)];
    await finetune(student, { source, epochs: 12, batchSize: 16, learningRate: 1e-2, weightDecay: 0.1 });
    const after = await accuracy(student, others);
    expect(after).toBeGreaterThan(0.9);
    const frozen = await student.freeze();
    expect(Math.abs((await accuracy(frozen, others)) - after)).toBeLessThanOrEqual(2 / 64);
    student.dispose();
  });

  test('filters decay by rate times share, and nothing else does', async () => {
    const student = new TrainableNetwork(quantized(floatNetwork(), 4));
    const [name, layer] = [...student.byName][3]!;
    const state = new Map(layer!.state);
    const before = await takeSnapshot(state);
    layer.shrink(0.25);
    const after = await takeSnapshot(state);
    for (const [part, { values }] of before) {
      const wanted = part === `${name}/filter` ? values.map((value) => 0.75 * value) : values;
      expect(after.get(part)!.values).toEqual(wanted);
    }
    student.dispose();
    const options = { source: quarters(16, 3), weightDecay: -1 };
    await expect(finetune(student, options)).rejects.toThrow(
      /weightDecay is -1; expected a number of at least 0/,
    );
  });

  test('is the same for the same seed, and another for another', async () => {
    const run = async (seed: number) => {
      const student = new TrainableNetwork(quantized(floatNetwork(), 3));
      const { epochs } = await finetune(student, {
        source: quarters(32, 3),
        epochs: 1,
        batchSize: 16,
        seed,
        augmentation: { shift: 1, mirror: true },
      });
      student.dispose();
      return epochs[0]!.loss;
    };
    expect(await run(1)).toBe(await run(1));
    expect(await run(2)).not.toBe(await run(1));
  });

  test.each(['adam', 'momentum'] as const)(
    '%s ends after the step when asked to, and goes on from there',
    async (optimizer) => {
      const source = quarters(64, 3);
      const augmentation = { shift: 1 };
      const options = { source, epochs: 2, batchSize: 16, learningRate: 1e-3, augmentation, optimizer };
      const whole = new TrainableNetwork(quantized(floatNetwork(), 3));
      await finetune(whole, options);
      const parts = new TrainableNetwork(quantized(floatNetwork(), 3));
      const stop = new AbortController();
      const points: ResumePoint[] = [];
      const first = await finetune(parts, {
        ...options,
        signal: stop.signal,
        onStep: ({ step }) => step === 3 && stop.abort(),
        onCheckpoint: async (point) => void points.push(point),
      });
      expect(first).toMatchObject({ aborted: true, position: { step: 3 } });
      const resumed = new TrainableNetwork(quantized(floatNetwork(), 3));
      restoreSnapshot(resumed.state, await takeSnapshot(parts.state));
      const steps: number[] = [];
      const second = await finetune(resumed, {
        ...options,
        resume: points.at(-1)!,
        onStep: ({ step }) => steps.push(step),
      });
      expect(steps).toEqual([4, 5, 6, 7, 8]);
      expect(second.aborted).toBe(false);
      // The very training that was not interrupted.
      const [wanted, found] = await Promise.all([takeSnapshot(whole.state), takeSnapshot(resumed.state)]);
      for (const [name, { values }] of wanted) expect(found.get(name)!.values, name).toEqual(values);
      for (const network of [whole, parts, resumed]) network.dispose();
    },
  );

  test('momentum moves weights in their own units by the rate of the step, the gradient and what it moved before', async () => {
    const source = quarters(16, 3);
    const student = new TrainableNetwork(quantized(floatNetwork(), 4), {
      float: floatNetwork(),
      units: 'absolute',
    });
    const variable = student.state.get('linear/filter')!;
    const values = () => variable.dataSync().slice() as Float32Array;
    // The batch is all there is, in whatever order.
    const x = new Float32Array(16 * SIDE * SIDE * 3);
    for (let n = 0; n < 16; n++) source.read(n, x.subarray((n * x.length) / 16, ((n + 1) * x.length) / 16));
    const labels = tf.oneHot(
      Array.from({ length: 16 }, (_, n) => n % 4),
      4,
    );
    const gradient = () =>
      tf.variableGrads(() => {
        const logits = student.logits(tf.tensor4d(x, [16, SIDE, SIDE, 3]), { training: true });
        return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
      }, student.trainable);
    const learningRate = 0.01;
    const wanted: { from: Float32Array; to: Float32Array }[] = [];
    let moved = new Float32Array(values().length);
    await finetune(student, {
      source,
      epochs: 3,
      batchSize: 16,
      optimizer: 'momentum',
      learningRate,
      warmUp: 0.5,
      onEpoch: ({ epoch }) => {
        const found = values();
        if (epoch > 1) {
          const { from, to } = wanted.at(-1)!;
          // Looking at the gradient fitted the scales once more.
          const bound = 0.05 * Math.max(...to.map((w, n) => Math.abs(w - from[n]!)));
          for (const [n, w] of found.entries()) expect(Math.abs(w - to[n]!)).toBeLessThan(bound);
        }
        // What the next step should come to: Nesterov's momentum, and a rate that rises and falls.
        const slopes = gradient().grads[variable.name]!.dataSync();
        const rate = cosineRate(learningRate, 0.5)(epoch / 3);
        const before = moved;
        moved = before.map((m, n) => 0.9 * m + slopes[n]!);
        wanted.push({ from: found, to: found.map((w, n) => w - rate * (slopes[n]! + 0.9 * moved[n]!)) });
      },
      schedule: (_, epoch) => {
        if (epoch > 1) return;
        const slopes = gradient().grads[variable.name]!.dataSync();
        moved = Float32Array.from(slopes);
      },
    });
    expect(wanted).toHaveLength(3);
    // Rates of the steps that were compared are not the same.
    expect(cosineRate(learningRate, 0.5)(1 / 3)).not.toBeCloseTo(cosineRate(learningRate, 0.5)(2 / 3), 4);
    student.dispose();
  });

  test('a loss that is not finite names step and layer, and the last good weights are back', async () => {
    const student = new TrainableNetwork(quantized(floatNetwork(), 3));
    const before = await takeSnapshot(student.state);
    const source = quarters(16, 3);
    const broken = {
      ...source,
      read: (n: number, to: Float32Array) => void to.fill(n === 5 ? Number.NaN : 0.1),
    };
    await expect(finetune(student, { source: broken, epochs: 1, batchSize: 16 })).rejects.toThrow(
      DivergedError,
    );
    await expect(finetune(student, { source: broken, epochs: 1, batchSize: 16 })).rejects.toThrow(
      /at step 1 \(layer 'conv1' is the first/,
    );
    const after = await takeSnapshot(student.state);
    for (const [name, { values }] of before) expect(after.get(name)!.values).toEqual(values);
    student.dispose();
  });

  test('refuses what cannot be', async () => {
    const student = new TrainableNetwork(quantized(floatNetwork(3), 3));
    const source = quarters(16, 3);
    await expect(finetune(student, { source })).rejects.toThrow(/picture 3 has class 3; expected 0 to 2/);
    await expect(finetune(student, { source: { ...source, label: undefined as never } })).rejects.toThrow(
      /have no labels/,
    );
    await expect(finetune(student, { source: { ...source, label: () => 0, count: 0 } })).rejects.toThrow(
      InvalidArgumentError,
    );
    await expect(finetune(student, { source: { ...source, label: () => 0 }, batchSize: 0 })).rejects.toThrow(
      /batchSize is 0/,
    );
    await expect(
      finetune(student, { source: { ...source, label: () => 0 }, learningRate: -1 }),
    ).rejects.toThrow(/learningRate is -1/);
    await expect(
      finetune(student, { source: { ...source, label: () => 0 }, optimizer: 'sgd' as never }),
    ).rejects.toThrow(/optimizer is 'sgd'; expected one of adam, momentum/);
    student.dispose();
  });
});

describe('a schedule', () => {
  // In the midst of an epoch, and between two with the same bits.
  test.each([5, 6])(
    'lowers bits epoch by epoch, freezes scales, and is followed by training that goes on after step %i',
    async (last) => {
      const source = quarters(32, 3);
      const schedule = () => gradually({ bits: [4, 3, 2], freezeScalesFrom: 3 });
      const options = { source, epochs: 4, batchSize: 16, learningRate: 1e-3 };
      const bitsOf = (network: TrainableNetwork) => [
        ...new Set([...network.byName.values()].map(({ bits }) => bits)),
      ];
      const whole = new TrainableNetwork(quantized(floatNetwork(), 5));
      const seen: (number | null)[][] = [];
      await finetune(whole, {
        ...options,
        schedule: schedule(),
        onEpoch: () => void seen.push(bitsOf(whole)),
      });
      expect(seen).toEqual([[4], [3], [2], [2]]);
      const parts = new TrainableNetwork(quantized(floatNetwork(), 5));
      const stop = new AbortController();
      const points: ResumePoint[] = [];
      await finetune(parts, {
        ...options,
        schedule: schedule(),
        signal: stop.signal,
        onStep: ({ step }) => step === last && stop.abort(),
        onCheckpoint: async (point) => void points.push(point),
      });
      const resumed = new TrainableNetwork(quantized(floatNetwork(), 5));
      restoreSnapshot(resumed.state, await takeSnapshot(parts.state));
      await finetune(resumed, { ...options, schedule: schedule(), resume: points.at(-1)! });
      const [wanted, found] = await Promise.all([takeSnapshot(whole.state), takeSnapshot(resumed.state)]);
      for (const [name, { values }] of wanted) expect(found.get(name)!.values, name).toEqual(values);
      expect(() => gradually({ bits: [4, 1] })).toThrow(/bits\[1\] is 1/);
      expect(() => gradually({ freezeScalesFrom: 0 })).toThrow(/freezeScalesFrom is 0/);
      for (const network of [whole, parts, resumed]) network.dispose();
    },
  );
});

describe('adapt', () => {
  test('comes nearer to the float network without labels', async () => {
    const float = floatNetwork();
    const network = quantized(float, 2);
    const { label: _, ...source } = quarters(64, 9);
    const student = new TrainableNetwork(network, { float });
    const others = quarters(32, 21);
    const pixels = new Float32Array(32 * SIDE * SIDE * 3);
    for (let n = 0; n < 32; n++)
      others.read(n, pixels.subarray(n * SIDE * SIDE * 3, (n + 1) * SIDE * SIDE * 3));
    const x = tf.tensor4d(pixels, [32, SIDE, SIDE, 3]);
    const distance = (): number =>
      tf.tidy(() => tf.mean(tf.squaredDifference(student.logits(x), float.logits(x))).dataSync()[0]!);
    const before = distance();
    const numTensors = tf.memory().numTensors;
    await adapt(student, float, { source, epochs: 8, batchSize: 16, learningRate: 2e-3 });
    expect(tf.memory().numTensors).toBe(numTensors);
    expect(distance()).toBeLessThan(0.5 * before);
    student.dispose();
    x.dispose();
  });

  test('refuses a teacher of another shape', async () => {
    const student = new TrainableNetwork(quantized(floatNetwork(), 4));
    const source = quarters(16, 1);
    await expect(adapt(student, floatNetwork(7), { source })).rejects.toThrow(
      /teacher is a resnet20 of 7 classes; expected resnet20 of 4/,
    );
    await expect(adapt(student, quantized(floatNetwork(), 4), { source })).rejects.toThrow(
      /teacher is quantized/,
    );
    await expect(adapt(student, floatNetwork(), { source, features: ['conv9'] })).rejects.toThrow(
      /features has 'conv9'/,
    );
    student.dispose();
  });
});

test('statistics of batch normalizations are the mean over all batches', async () => {
  const plain = floatNetwork();
  const withStatistics = new Map<string, LayerWeights>(
    [...plain.weights].map(([name, layer]) => {
      const channels = plain.architecture.layers.find((spec) => spec.name === name)!.shape[3];
      const statistics = { mean: new Float32Array(channels), deviation: new Float32Array(channels).fill(1) };
      return [name, { ...layer, statistics }];
    }),
  );
  const { architecture, preprocessing } = plain;
  const float = new Network({ architecture, preprocessing, weights: withStatistics });
  const network = new TrainableNetwork(float, { batchNorm: 'restored' });
  const batches = [1, 2, 3].map((seed) => tf.tensor4d(floats(4 * SIDE * SIDE * 3, seed), [4, SIDE, SIDE, 3]));
  await reestimateBatchNorm(network, batches);
  const first = network.byName.get('conv1')!;
  const wanted = tf.tidy(() => {
    const all = batches.map((x) => tf.mean(first.convolve(x), [0, 1, 2]));
    return tf.mean(tf.stack(all), 0).dataSync();
  });
  const found = (await takeSnapshot(network.state)).get('conv1/mean')!.values;
  for (const [c, value] of found.entries()) expect(value).toBeCloseTo(wanted[c]!, 4);
  await expect(reestimateBatchNorm(network, [])).rejects.toThrow(/there are no batches/);
});
