/** Quantized and float networks side by side. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { InvalidArgumentError, selectBackend } from '@dsconv/core';
import { createArchitecture, getModel, Network, outChannels, randomParameters } from '@dsconv/models';
import { memory } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { agreement, divergence } from '../src/allocation/compare-logits.js';
import { logitsOf } from '../src/allocation/network-logits.js';
import { noisePictures } from '../src/allocation/noise-pictures.js';
import { findReference, inspectAgainst, quantizeNetwork, SimilaritySums, weightsOf } from '../src/index.js';
import { textures, trainedWithoutNorms } from './support/plain-network.js';

let float: Network;
beforeAll(async () => {
  await selectBackend([BACKEND_NAME]);
  float = trainedWithoutNorms();
}, 60_000);

describe('similarity', () => {
  it('is a ratio in dB and a cosine, whatever the pieces', () => {
    const sums = new SimilaritySums().add([3, 0], [2, 0]).add(Float32Array.of(4), Float32Array.of(4));
    const { snrDb, cosine } = sums.finish();
    expect(snrDb).toBeCloseTo(10 * Math.log10(25 / 1), 10);
    expect(cosine).toBeCloseTo(22 / Math.sqrt(25 * 20), 10);
    expect(new SimilaritySums().add([1, 2], [1, 2]).finish()).toEqual({ snrDb: null, cosine: 1 });
    expect(new SimilaritySums().add([1], [0]).finish()).toEqual({ snrDb: 0, cosine: null });
  });
});

describe('a quantized network against its float one', () => {
  const pictures = textures(24, 11);

  it('has the layer of fewest bits do the most harm, and numbers that networks as a whole confirm', async () => {
    const layers = { expand: { bits: 2 } };
    const { network } = await quantizeNetwork(float, { bits: 8, layers });
    const before = memory().numTensors;
    const found = await inspectAgainst(network, float, pictures);
    expect(memory().numTensors).toBe(before);
    expect(found.pictures).toBe(24);
    expect(found.layers.map(({ name }) => name).sort()).toEqual([...float.weights.keys()].sort());
    expect(found.layers[0]!.name).toBe('expand');
    const harms = found.layers.map(({ harm }) => harm);
    expect(harms).toEqual([...harms].sort((a, b) => b - a));

    const { classes } = float.architecture;
    const expected = await logitsOf(float, pictures);
    const all = await logitsOf(network, pictures);
    expect(found.divergence).toBeCloseTo(divergence(expected, all, classes), 6);
    expect(found.agreement).toBeCloseTo(agreement(expected, all, classes), 10);
    // A network of which only one layer is quantized: its harm, measured in another way.
    const { architecture, preprocessing } = float;
    const weights = new Map(float.weights).set('expand', network.weights.get('expand')!);
    const one = new Network({ architecture, weights, preprocessing });
    expect(harms[0]!).toBeCloseTo(divergence(expected, await logitsOf(one, pictures), classes), 6);

    const of = (name: string) => found.layers.find((layer) => layer.name === name)!;
    expect(of('expand').weightSimilarity.snrDb!).toBeLessThan(12);
    expect(of('conv2').weightSimilarity.snrDb!).toBeGreaterThan(35);
    // What the layers before lost comes on top.
    expect(of('classifier').ownOutputSimilarity.snrDb!).toBeGreaterThan(
      of('classifier').outputSimilarity.snrDb! + 10,
    );
    // The first layer reads the same pictures either way.
    expect(of('conv1').outputSimilarity).toEqual(of('conv1').ownOutputSimilarity);
  });

  it('runs as many pictures as it is told, drawn by seed', async () => {
    const { network } = await quantizeNetwork(float, { bits: 4 });
    const read: number[] = [];
    const many = {
      count: 400,
      read: (n: number) => {
        read.push(n);
        return textures(400, 2).read(n);
      },
    };
    const { pictures: run } = await inspectAgainst(network, float, many, { most: 10, seed: 3 });
    expect(run).toBe(10);
    expect(new Set(read).size).toBe(10);
  });

  it('refuses what does not belong together', async () => {
    const { network } = await quantizeNetwork(float, { bits: 4 });
    const refused = (a: Network, b: Network, source = pictures) =>
      expect(inspectAgainst(a, b, source)).rejects;
    await refused(float, float).toThrow('is a float network; expected a quantized one');
    await refused(network, network).toThrow('is quantized; expected a float network');
    await refused(network, float, textures(0, 1)).toThrow('pictures.count is 0; expected at least one');
    await refused(network, float, { count: 1, read: async () => new Float32Array(3) }).toThrow(
      'picture 0 has 3 values; expected 144',
    );
    const architecture = createArchitecture({ name: 'resnet20', inputSize: 16 });
    const { preprocessing } = getModel('resnet20.cifar10');
    const other = new Network({ architecture, weights: randomParameters(architecture, 1), preprocessing });
    await refused(network, other).toThrow('the reference is a resnet20; expected a textures');
    await refused(network, other).toThrow(InvalidArgumentError);
  });
});

describe('the reference', () => {
  it('is the float network with channels scaled where the quantized one was made from that', async () => {
    const architecture = createArchitecture({ name: 'mobilenet_v1_0.25', classes: 10, inputSize: 32 });
    const { preprocessing } = getModel('resnet20.cifar10');
    const weights = randomParameters(architecture, 4);
    for (const layer of architecture.layers) {
      if (layer.source.norm === null) continue;
      const values = (value: number) => new Float32Array(outChannels(layer)).fill(value);
      const statistics = { mean: values(0.1), deviation: values(0.2) };
      weights.set(layer.name, { ...weights.get(layer.name)!, statistics });
    }
    const source = new Network({ architecture, weights, preprocessing });
    const noise = noisePictures(source, 4, 1);
    for (const rangeScaling of [true, false]) {
      const { network } = await quantizeNetwork(source, { bits: 8, rangeScaling });
      const reference = findReference(network, source);
      expect(reference === source).toBe(!rangeScaling);
      const { layers } = await inspectAgainst(network, source, noise);
      for (const { weightSimilarity } of layers) expect(weightSimilarity.snrDb!).toBeGreaterThan(30);
      const exact = weightsOf(reference, 'conv_dw_3');
      const ratio = new SimilaritySums().add(exact, weightsOf(network, 'conv_dw_3')).finish();
      expect(ratio.snrDb).toBeCloseTo(
        layers.find(({ name }) => name === 'conv_dw_3')!.weightSimilarity.snrDb!,
        6,
      );
    }
  });
});
