import { profile, setBackend, zeros } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  countParameters,
  createArchitecture,
  getModel,
  type LayerWeights,
  Network,
  randomParameters,
} from '../src/index.js';

beforeAll(() => setBackend('cpu'));

describe('MobileNet v2', () => {
  it.each([
    // As torchvision and timm state them.
    ['mobilenet_v2_1.0', 3_504_872],
    ['mobilenet_v2_0.5', 1_968_680],
    ['mobilenet_v2_1.4', 6_108_776],
  ])('%s has %d parameters', (name, count) => {
    expect(countParameters(createArchitecture(name)).trainable).toBe(count);
  });

  it("has torchvision's parameter names", () => {
    const { layers } = createArchitecture('mobilenet_v2_1.0');
    const sources = new Map(layers.map(({ name, source }) => [name, source]));
    expect(layers).toHaveLength(53);
    expect(sources.get('features.0.0')).toMatchObject({
      weight: 'features.0.0.weight',
      norm: { gamma: 'features.0.1.weight', variance: 'features.0.1.running_var', epsilon: 1e-5 },
    });
    const norms = layers.slice(1, 6).map(({ source }) => [source.weight, source.norm?.mean]);
    expect(norms).toEqual([
      ['features.1.conv.0.0.weight', 'features.1.conv.0.1.running_mean'],
      ['features.1.conv.1.weight', 'features.1.conv.2.running_mean'],
      ['features.2.conv.0.0.weight', 'features.2.conv.0.1.running_mean'],
      ['features.2.conv.1.0.weight', 'features.2.conv.1.1.running_mean'],
      ['features.2.conv.2.weight', 'features.2.conv.3.running_mean'],
    ]);
    expect(sources.get('features.18.0')?.norm?.gamma).toBe('features.18.1.weight');
    expect(sources.get('classifier.1')).toEqual({
      weight: 'classifier.1.weight',
      bias: 'classifier.1.bias',
      norm: null,
    });
  });

  it('adds ten shortcuts, none followed by an activation', async () => {
    const network = small();
    const { kernels } = await profile(() => network.logits(zeros([1, 32, 32, 3])));
    const names = kernels.map(({ name }) => name);
    expect(names.filter((name) => name === 'Add')).toHaveLength(10);
    // All other activations are inside of fused kernels.
    expect(names.filter((name) => /Relu/.test(name))).toEqual([]);
    network.dispose();
  });

  it('projects without an activation', () => {
    const constant = (filter: number, bias: number) => (layer: LayerWeights) => ({
      filter: (layer.filter as Float32Array).map(() => filter),
      bias: layer.bias!.map(() => bias),
    });
    const network = small({
      // Every projected value is -1; an activation would make it 0.
      'features.17.conv.2': constant(0, -1),
      'features.18.0': constant(-1 / 320, 0),
      'classifier.1': constant(1 / 1280, 0),
    });
    const logits = network.logits(zeros([1, 32, 32, 3])).dataSync();
    for (const logit of logits) expect(logit).toBeCloseTo(1, 4);
    network.dispose();
  });
});

function small(changes: Record<string, (layer: LayerWeights) => LayerWeights> = {}): Network {
  const architecture = createArchitecture({ name: 'mobilenet_v2_1.0', inputSize: 32, classes: 4 });
  const weights = randomParameters(architecture, 3);
  for (const [name, change] of Object.entries(changes)) weights.set(name, change(weights.get(name)!));
  const { preprocessing } = getModel('resnet20.cifar10');
  return new Network({ architecture, weights, preprocessing });
}
