import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { InvalidArgumentError, quantizeDepthwiseFilter, quantizeFilter } from '@dsconv/core';
import { profile, setBackend, type Tensor4D, tensor4d } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ARCHITECTURE_NAMES,
  type Architecture,
  convolutionShapes,
  createArchitecture,
  getModel,
  type LayerWeights,
  listModels,
  Network,
  outChannels,
  randomParameters,
  UnknownModelError,
  weightCount,
} from '../src/index.js';
import { registerEmulatedKernels } from './support/emulated-kernels.js';

beforeAll(() => registerEmulatedKernels('wasm'));

beforeEach(async () => {
  await setBackend('wasm');
});

const preprocessing = getModel('resnet20.cifar10').preprocessing;

function ramp(size: number): Tensor4D {
  const values = Float32Array.from({ length: size * size * 3 }, (_, n) => Math.sin(n * 0.37));
  return tensor4d(values, [1, size, size, 3]);
}

function zeroParameters(architecture: Architecture): Map<string, LayerWeights> {
  return new Map(
    architecture.layers.map((layer) => [
      layer.name,
      { filter: new Float32Array(weightCount(layer)), bias: new Float32Array(outChannels(layer)) },
    ]),
  );
}

describe('architectures', () => {
  it.each(ARCHITECTURE_NAMES)('%s: the table of shapes is what forward computes', async (name) => {
    const architecture = createArchitecture({ name, classes: 12 });
    const size = /^(mobilenet|alexnet)/.test(name) ? 65 : 49;
    // VGG's half a gigabyte does not fit into the memory of TensorFlow.js' WebAssembly backend.
    await setBackend(BACKEND_NAME);
    const network = new Network({ architecture, weights: zeroParameters(architecture), preprocessing });
    const { kernels } = await profile(() => network.logits(ramp(size)));
    const convolutions = kernels.filter(({ name: kernel }) => /^Fused(Depthwise)?Conv2D$/.test(kernel));
    const shapes = convolutionShapes(architecture, size);
    expect(convolutions.map(({ inputShapes }) => inputShapes[0])).toEqual(
      shapes.map(({ geometry: g }) => [1, g.inHeight, g.inWidth, g.inChannels]),
    );
    expect(convolutions.map(({ outputShapes }) => outputShapes[0])).toEqual(
      shapes.map(({ geometry: g }) => [1, g.outHeight, g.outWidth, g.outChannels]),
    );
    network.dispose();
  });

  it.each([
    // Millions of multiply-accumulates and of weights, as the papers and torchvision state them.
    ['resnet18', 1814, 11.68],
    ['resnet34', 3664, 21.78],
    ['resnet50', 4089, 25.5],
    ['mobilenet_v1_1.0', 569, 4.21],
    ['mobilenet_v1_0.75', 325, 2.57],
    ['mobilenet_v2_1.0', 300.8, 3.47],
    ['resnet20', 40.6, 0.27],
    ['resnet56', 125.5, 0.85],
  ])('%s has %d million multiply-accumulates and %d million weights', (name, macs, weights) => {
    const shapes = convolutionShapes(createArchitecture(name));
    const total = shapes.reduce((sum, shape) => sum + shape.macs, 0) / 1e6;
    expect(Math.abs(total / macs - 1)).toBeLessThan(0.005);
    const count = shapes.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0) / 1e6;
    expect(Math.abs(count / weights - 1)).toBeLessThan(0.01);
  });

  it.each(['resnet20', 'resnet18', 'resnet50', 'mobilenet_v1_0.25'])(
    '%s: 8-bit parameters give nearly the float logits through the same forward function',
    (name) => {
      const architecture = createArchitecture({ name, classes: 10 });
      const float = randomParameters(architecture, 7);
      const quantized = new Map<string, LayerWeights>(
        architecture.layers.map((layer) => {
          const { filter, bias } = float.get(layer.name)!;
          const quantize = layer.kind === 'depthwise' ? quantizeDepthwiseFilter : quantizeFilter;
          const options = { bits: 8, blockSize: 32, method: 'absmax' as const };
          return [layer.name, { filter: quantize(filter as Float32Array, layer.shape, options), bias }];
        }),
      );
      const x = ramp(33);
      const logits = (weights: Map<string, LayerWeights>): Float32Array => {
        const network = new Network({ architecture, weights, preprocessing });
        const values = network.logits(x).dataSync() as Float32Array;
        network.dispose();
        return values;
      };
      const expected = logits(float);
      const found = logits(quantized);
      const size = Math.hypot(...expected);
      expect(Math.hypot(...expected.map((value, n) => value - found[n]!)) / size).toBeLessThan(0.08);
    },
  );

  it('takes other channels, classes and input sizes', () => {
    const { layers } = createArchitecture({ name: 'resnet20', channels: 1, classes: 7, inputSize: 28 });
    expect(layers[0]!.shape).toEqual([3, 3, 1, 16]);
    expect(layers.at(-1)!.shape).toEqual([1, 1, 64, 7]);
  });

  it('marks one stem and one classifier each', () => {
    for (const name of ARCHITECTURE_NAMES) {
      const roles = createArchitecture(name).layers.map(({ role }) => role);
      expect(roles.filter((role) => role === 'stem')).toHaveLength(1);
      expect(roles.filter((role) => role === 'classifier')).toHaveLength(1);
    }
  });

  it('knows no other names and no sizes out of range', () => {
    expect(() => createArchitecture('resnet21')).toThrow(UnknownModelError);
    expect(() => createArchitecture('resnet21')).toThrow(/'resnet21' is not known; expected 'resnet20'/);
    expect(() => createArchitecture('mobilenet_v1_0.0')).toThrow(UnknownModelError);
    expect(() => createArchitecture({ name: 'resnet20', classes: 0 })).toThrow(InvalidArgumentError);
    expect(() => createArchitecture({ name: 'resnet20', classes: 1e12 })).toThrow(/classes is 1000000000000/);
  });

  it('draws the same random parameters from the same seed, of He-normal size', () => {
    const architecture = createArchitecture('resnet20');
    const [a, b, c] = [5, 5, 6].map(
      (seed) => randomParameters(architecture, seed).get('layer3.1.conv1')!.filter as Float32Array,
    );
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
    const variance = a!.reduce((sum, w) => sum + w * w, 0) / a!.length;
    expect(variance / (2 / (9 * 64))).toBeCloseTo(1, 1);
  });
});

describe('registry', () => {
  it('describes every model completely', () => {
    for (const entry of listModels()) {
      const architecture = createArchitecture(entry.architecture);
      expect(entry.id.startsWith(`${architecture.name}.`)).toBe(true);
      expect(architecture.classes).toBe(entry.labels.length);
      expect(entry.preprocessing.size).toBe(architecture.inputSize);
      expect(entry.preprocessing.channels).toBe(architecture.channels);
      expect(getModel(entry.id)).toBe(entry);
    }
    expect(new Set(listModels().map(({ id }) => id)).size).toBe(listModels().length);
  });

  it('suggests the nearest ids', () => {
    expect(() => getModel('resnet20.cifar100')).toThrow(UnknownModelError);
    expect(() => getModel('resnet20.cifar100')).toThrow(/expected 'resnet20\.cifar10'/);
    expect(() => getModel('__proto__')).toThrow(UnknownModelError);
    expect(() => getModel('x'.repeat(1e6))).toThrow(UnknownModelError);
  });
});
