/** `network.classify`: from pictures to names in one call. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { DisposedError, getDSConvBackend, InvalidArgumentError, NotFiniteError } from '@dsconv/core';
import { memory, setBackend, tensor4d } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createArchitecture,
  getModel,
  type LayerWeights,
  Network,
  preprocess,
  type RawImage,
  randomQuantizedParameters,
} from '../src/index.js';

const CLASSES = 7;
const LABELS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const { preprocessing } = getModel('resnet20.cifar10');
const architecture = createArchitecture({ name: 'resnet20', classes: CLASSES });

const make = (change: (weights: Map<string, LayerWeights>) => void = () => undefined): Network => {
  const weights = randomQuantizedParameters(architecture, 3, { bits: 4, blockSize: 16 });
  change(weights);
  return new Network({ architecture, weights, preprocessing, labels: LABELS });
};

/** Pictures of different sizes, all different. */
const picture = (n: number): RawImage => {
  const [width, height] = [30 + 5 * n, 41 - 3 * n];
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * (n + 3) * 7919) % 251);
  return { data, width, height, channels: 3 };
};
const pictures = [0, 1, 2, 3, 4].map(picture);

beforeAll(() => setBackend(getDSConvBackend(BACKEND_NAME)!.pinTier!('wasm-simd')));

/** Probabilities of one picture, by the functions that classify puts together. */
function expected(network: Network, image: RawImage): Float32Array {
  const { size, channels } = network.preprocessing;
  const x = tensor4d(preprocess(image, network.preprocessing), [1, size, size, channels]);
  return network.predict(x).dataSync() as Float32Array;
}

describe('classify', () => {
  it('gives the most probable classes of a picture, with their names', async () => {
    const network = make();
    const probabilities = expected(network, pictures[0]!);
    const found = await network.classify(pictures[0]!, { topK: 3 });
    expect(found).toHaveLength(3);
    const best = Math.max(...probabilities);
    expect(found[0]).toEqual({
      index: probabilities.indexOf(best),
      label: LABELS[probabilities.indexOf(best)],
      probability: best,
    });
    for (const { index, label, probability } of found) {
      expect(label).toBe(LABELS[index]);
      expect(probability).toBe(probabilities[index]);
    }
    const values = found.map(({ probability }) => probability);
    expect(values).toEqual([...values].sort((a, b) => b - a));
    expect(await network.classify(pictures[0]!)).toHaveLength(5);
    expect(await network.classify(pictures[0]!, { topK: 100 })).toHaveLength(CLASSES);
    network.dispose();
  });

  it('gives the same from batches of any size, eagerly and as plans', async () => {
    const network = make();
    const alone = pictures.map((image) => expected(network, image));
    for (const batchSize of [1, 2, 5, 8]) {
      for (let repetition = 0; repetition < 3; repetition++) {
        const found = await network.classify(pictures, { batchSize, topK: CLASSES });
        expect(found).toHaveLength(pictures.length);
        found.forEach((classes, n) => {
          for (const { index, probability } of classes) {
            // A plan sums in another order: an activation may round to its neighbour.
            expect(Math.abs(probability - alone[n]![index]!)).toBeLessThan(0.02);
          }
        });
      }
    }
    expect(await network.classify([])).toEqual([]);
    network.dispose();
  });

  it('follows a change of the backend', async () => {
    const network = make();
    const first = await network.classify(pictures[1]!, { topK: 1 });
    await network.classify(pictures[1]!);
    await setBackend(getDSConvBackend(BACKEND_NAME)!.pinTier!('js'));
    const there = await network.classify(pictures[1]!, { topK: 1 });
    expect(there[0]!.index).toBe(first[0]!.index);
    await setBackend(getDSConvBackend(BACKEND_NAME)!.pinTier!('wasm-simd'));
    expect((await network.classify(pictures[1]!, { topK: 1 }))[0]!.index).toBe(first[0]!.index);
    network.dispose();
  });

  it('answers calls that are under way at once', async () => {
    const network = make();
    await network.classify(pictures[0]!);
    const all = await Promise.all(pictures.map((image) => network.classify(image, { topK: CLASSES })));
    pictures.forEach((image, n) => {
      const probabilities = expected(network, image);
      for (const { index, probability } of all[n]!) {
        expect(Math.abs(probability - probabilities[index]!)).toBeLessThan(0.02);
      }
    });
    network.dispose();
  });

  it('leaves no tensor behind', async () => {
    const before = memory().numTensors;
    const network = make();
    await network.classify(pictures, { batchSize: 2 });
    await network.classify(pictures, { batchSize: 2 });
    await expect(network.classify([pictures[0]!, {} as RawImage])).rejects.toThrow();
    network.dispose();
    // Plans are given back in a turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve));
    expect(memory().numTensors).toBe(before);
  });

  it.each<[string, unknown, RegExp]>([
    ['nothing', null, /image\.data is Undefined; expected the pixels of a picture/],
    ['a path', 'photo.jpg', /image\.data is Undefined/],
    [
      'floats',
      { data: new Float32Array(12), width: 2, height: 2, channels: 3 },
      /image\.data is Float32Array/,
    ],
    ['a list', { data: [1, 2, 3], width: 1, height: 1, channels: 3 }, /image\.data is Array/],
    [
      'a truncated picture',
      { data: new Uint8Array(11), width: 2, height: 2, channels: 3 },
      /image\.data has 11 values; expected 12 for 2×2 pixels of 3 channels/,
    ],
    [
      'truncated RGBA',
      { data: new Uint8ClampedArray(15), width: 2, height: 2 },
      /image\.data has 15 values; expected 16 for 2×2 pixels of 4 channels/,
    ],
    ['no rows', { data: new Uint8Array(0), width: 2, height: 0, channels: 3 }, /image\.height is 0/],
    ['no columns', { data: new Uint8Array(0), width: 0, height: 0 }, /image\.width is 0/],
  ])('refuses %s in one sentence, and says which picture it was', async (_, wrong, message) => {
    const network = make();
    const one = network.classify(wrong as RawImage);
    await expect(one).rejects.toThrow(InvalidArgumentError);
    await expect(one).rejects.toThrow(message);
    const several = network.classify([pictures[0]!, wrong as RawImage]);
    await expect(several).rejects.toThrow(InvalidArgumentError);
    await expect(several).rejects.toThrow(/^pictures\[1\]: image\./);
    network.dispose();
  });

  it('refuses options out of range, a network that is gone, and one that computes NaN', async () => {
    const network = make();
    await expect(network.classify(pictures[0]!, { topK: 0 })).rejects.toThrow(
      /topK is 0; expected a positive integer/,
    );
    await expect(network.classify(pictures, { batchSize: 1.5 })).rejects.toThrow(/batchSize is 1.5/);
    network.dispose();
    await expect(network.classify(pictures[0]!)).rejects.toThrow(DisposedError);
    const broken = make((weights) => weights.get('linear')!.bias!.fill(Number.NaN));
    await expect(broken.classify(pictures[0]!)).rejects.toThrow(NotFiniteError);
    broken.dispose();
  });
});
