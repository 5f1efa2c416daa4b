import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { selectBackend } from '@dsconv/core';
import {
  createArchitecture,
  getModel,
  type LayerWeights,
  Network,
  outChannels,
  randomParameters,
} from '@dsconv/models';
import { beforeAll, describe, expect, it } from 'vitest';
import { logitsOf } from '../src/allocation/network-logits.js';
import { noisePictures } from '../src/allocation/noise-pictures.js';
import { quantizeNetwork, signalToNoise } from '../src/index.js';
import { planNetwork } from '../src/quantize-network.js';
import { rangePairs, scaleRanges } from '../src/scale-ranges.js';

beforeAll(() => selectBackend([BACKEND_NAME]));

const { preprocessing } = getModel('resnet20.cifar10');

/** Batch normalization as it would be: every fourth channel that a depthwise convolution reads is small, and it is made for that. */
function network(name: string): Network {
  const architecture = createArchitecture({ name, classes: 10, inputSize: 32 });
  const weights = new Map<string, LayerWeights>(randomParameters(architecture, 4));
  for (const layer of architecture.layers) {
    if (layer.source.norm === null || layer.kind === 'norm') continue;
    const { filter, bias } = weights.get(layer.name)!;
    const outputs = outChannels(layer);
    const size = (n: number): number => ((n % outputs) % 4 === 0 ? 0.02 : 1);
    const isReader = layer.kind === 'depthwise';
    const output = (n: number): number => (isReader ? 1 : size(n));
    weights.set(layer.name, {
      filter: (filter as Float32Array).map((w, n) => (isReader ? w / size(n) : w * size(n))),
      bias: bias?.map((b, n) => b * output(n)) ?? null,
      statistics: {
        mean: Float32Array.from({ length: outputs }, (_, n) => 0.5 * output(n)),
        deviation: Float32Array.from({ length: outputs }, (_, n) => output(n)),
      },
    });
  }
  return new Network({ architecture, weights, preprocessing });
}

describe('channels scaled for the depthwise convolutions that read them', () => {
  it('changes nothing in float', async () => {
    const float = network('mobilenet_v1_0.25');
    const pairs = rangePairs(float, planNetwork(float, { bits: 8 }));
    expect(pairs.map(({ to }) => to)).toEqual(
      float.architecture.layers.filter(({ kind }) => kind === 'depthwise').map(({ name }) => name),
    );
    for (const { factors } of pairs) {
      factors.forEach((factor, c) => {
        expect(factor).toBeGreaterThanOrEqual(1);
        // 6 / (0.02 · 6.5), held down to the most that is allowed; the others are too near to the ceiling.
        expect(factor).toBeCloseTo(c % 4 === 0 ? 46.15 : 1, 1);
      });
    }
    const pictures = noisePictures(float, 6, 1);
    const expected = await logitsOf(float, pictures);
    const found = await logitsOf(scaleRanges(float, pairs), pictures);
    expect(signalToNoise(expected, found) ?? Infinity).toBeGreaterThan(60);
  });

  it('keeps more of the answers at 8 bits', async () => {
    const float = network('mobilenet_v1_0.25');
    const pictures = noisePictures(float, 6, 1);
    const expected = await logitsOf(float, pictures);
    const ratio = async (rangeScaling: boolean): Promise<number> => {
      const made = await quantizeNetwork(float, { bits: 8, rangeScaling, biasCorrection: false });
      return signalToNoise(expected, await logitsOf(made.network, pictures))!;
    };
    expect((await ratio(true)) - (await ratio(false))).toBeGreaterThan(3);
  });

  it('leaves networks without depthwise convolutions or statistics alone', () => {
    const plans = (net: Network) => planNetwork(net, { bits: 4 });
    const resNet = network('resnet20');
    expect(rangePairs(resNet, plans(resNet))).toEqual([]);
    expect(scaleRanges(resNet, [])).toBe(resNet);
    const float = network('mobilenet_v1_0.25');
    const weights = new Map([...float.weights].map(([name, { filter, bias }]) => [name, { filter, bias }]));
    const bare = new Network({ architecture: float.architecture, weights, preprocessing });
    expect(rangePairs(bare, plans(bare))).toEqual([]);
  });
});
