import { DisposedError, InvalidArgumentError, InvalidFilterError, quantizeFilter } from '@dsconv/core';
import { memory, setBackend, type Tensor4D, tensor4d, tidy, zeros } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  createArchitecture,
  FileFormatError,
  getModel,
  type LayerWeights,
  Network,
  networkFileLength,
  randomParameters,
  readNetwork,
  readSafetensors,
  writeNetwork,
  writeSafetensors,
} from '../src/index.js';
import { registerEmulatedKernels } from './support/emulated-kernels.js';

const { preprocessing, labels, architecture: config } = getModel('resnet20.fashion_mnist');
const architecture = createArchitecture(config);
const [stem, second] = architecture.layers;

let weights: Map<string, LayerWeights>;

beforeAll(async () => {
  await setBackend('cpu');
  registerEmulatedKernels('cpu');
});

beforeEach(() => {
  weights = randomParameters(architecture, 3);
  // The stem per channel, the second layer in every form there is, all others float: a file may hold all of them.
  const quantize = (layer: typeof stem, options: Parameters<typeof quantizeFilter>[2]): LayerWeights => {
    const { filter, bias } = weights.get(layer!.name)!;
    return { filter: quantizeFilter(filter as Float32Array, layer!.shape, options), bias, snrDb: 12.345 };
  };
  weights.set(stem!.name, quantize(stem, { bits: 7 }));
  weights.set(second!.name, quantize(second, { bits: 3, blockSize: 5, kdsBias: true, cds: true }));
  const { bias } = weights.get('layer1.0.conv2')!;
  expect(bias).not.toBeNull();
  weights.get('layer1.0.conv2')!.bias = null;
});

const make = (options: object = {}): Network =>
  new Network({
    architecture,
    weights,
    preprocessing,
    labels,
    activationBits: 6,
    metadata: { source: 'a "file"', sourceSha256: 'ab'.repeat(32) },
    ...options,
  });

describe('Network', () => {
  it('computes logits and probabilities of any batch', () => {
    const network = make();
    const x = tensor4d(
      Float32Array.from({ length: 2 * 14 * 14 }, (_, n) => Math.cos(n)),
      [2, 14, 14, 1],
    );
    expect(network.logits(x).shape).toEqual([2, 10]);
    const probabilities = network.predict(x).arraySync();
    for (const row of probabilities) expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  });

  it('keeps its tensors through a tidy around the first use, and gives all of them back', () => {
    const before = memory().numTensors;
    const network = make();
    const x = zeros([1, 8, 8, 1]) as Tensor4D;
    const first = tidy(() => network.logits(x).arraySync());
    expect(tidy(() => network.logits(x).arraySync())).toEqual(first);
    network.dispose();
    network.dispose();
    x.dispose();
    expect(memory().numTensors).toBe(before);
  });

  it('counts the bytes that are stored', () => {
    const network = make();
    const kernels = [...weights.values()].reduce((sum, { filter }) => sum + filter.byteLength, 0);
    const biases = [...weights.values()].reduce((sum, { bias }) => sum + (bias?.byteLength ?? 0), 0);
    expect(network.kernelByteLength).toBe(kernels);
    expect(network.byteLength).toBe(kernels + biases);
    expect(weights.get(stem!.name)!.filter.byteLength).toBe((9 * 16 * 7) / 8 + 2 * 16);
  });

  it('is a DisposedError after dispose()', () => {
    const network = make();
    network.dispose();
    expect(network.isDisposed).toBe(true);
    expect(() => network.logits(zeros([1, 8, 8, 1]))).toThrow(DisposedError);
    expect(() => network.byteLength).toThrow(DisposedError);
    expect(() => writeNetwork(network)).toThrow(DisposedError);
  });

  it('refuses inputs and parts that do not fit', () => {
    const network = make();
    expect(() => network.logits(zeros([1, 8, 8, 3]))).toThrow(/expected float32 \[batch, height, width, 1\]/);
    expect(() => network.logits(zeros([8, 8, 1]) as never)).toThrow(InvalidArgumentError);
    expect(() => make({ labels: ['a'] })).toThrow(/labels has 1 names; expected none or 10/);
    expect(() => make({ activationBits: 9 })).toThrow(/activationBits is 9/);
    const without = new Map(weights);
    without.delete('linear');
    expect(() => make({ weights: without })).toThrow(/no layer 'linear'/);
    expect(() => make({ weights: new Map(weights).set('x', weights.get('linear')!) })).toThrow(/layer 'x'/);
    const swapped = new Map(weights).set('conv1', weights.get(second!.name)!);
    expect(() => make({ weights: swapped })).toThrow(InvalidFilterError);
  });
});

describe('the one-file format', () => {
  it('keeps every bit', () => {
    const network = make();
    const bytes = writeNetwork(network);
    expect(networkFileLength(network)).toBe(bytes.length);
    const found = readNetwork(bytes, 'x');
    expect(found.architecture.name).toBe('resnet20');
    expect(found.preprocessing).toStrictEqual(preprocessing);
    expect(found.preprocessing.channelOrder).toBe('rgb');
    expect(found.labels).toEqual(labels);
    expect(found.activationBits).toBe(6);
    expect(found.metadata).toEqual(network.metadata);
    expect(found.weights.get(second!.name)!.snrDb).toBe(12.345);
    expect(Buffer.compare(writeNetwork(found), bytes)).toBe(0);
    const x = tensor4d(
      Float32Array.from({ length: 100 }, (_, n) => Math.sin(n)),
      [1, 10, 10, 1],
    );
    expect(found.logits(x).arraySync()).toEqual(network.logits(x).arraySync());
  });

  it('keeps the order of colours, and reads files that do not say', () => {
    const bgr = { ...preprocessing, channelOrder: 'bgr' as const };
    const bytes = writeNetwork(make({ preprocessing: bgr }));
    expect(readNetwork(bytes, 'x').preprocessing).toStrictEqual(bgr);
    const file = readSafetensors(bytes.slice(), 'x');
    const { channelOrder: _, ...older } = bgr;
    file.metadata.set('preprocessing', JSON.stringify(older));
    const found = readNetwork(writeSafetensors(file.tensors, file.metadata), 'x');
    expect(found.preprocessing).toStrictEqual(older);
    setJson(file, 'preprocessing', { channelOrder: 'rbg' });
    const wrong = writeSafetensors(file.tensors, file.metadata);
    expect(() => readNetwork(wrong, 'x')).toThrow(/channelOrder is "rbg"/);
  });

  it('reads from bytes at an odd offset', () => {
    const bytes = writeNetwork(make());
    const moved = new Uint8Array(bytes.length + 3).subarray(3);
    moved.set(bytes);
    expect(Buffer.compare(writeNetwork(readNetwork(moved, 'x')), bytes)).toBe(0);
  });

  type File = ReturnType<typeof readSafetensors>;
  const layersWith = (file: File, layer: string, change: object | null): void => {
    const layers = JSON.parse(file.metadata.get('layers')!);
    if (change === null) delete layers[layer];
    else layers[layer] = { ...layers[layer], ...change };
    file.metadata.set('layers', JSON.stringify(layers));
  };
  const setJson = (file: File, key: string, change: object): void => {
    file.metadata.set(key, JSON.stringify({ ...JSON.parse(file.metadata.get(key)!), ...change }));
  };

  it.each<[string, (file: File) => void, RegExp]>([
    ['another format', ({ metadata }) => metadata.set('format', 'pt'), /format is "pt"/],
    ['no format', ({ metadata }) => metadata.clear(), /format is missing/],
    [
      'a later version',
      ({ metadata }) => metadata.set('format_version', '2'),
      /version is "2"; expected '1'/,
    ],
    ['an unknown architecture', (f) => setJson(f, 'architecture', { name: 'vgg' }), /'vgg' is not known/],
    ['no architecture', ({ metadata }) => metadata.delete('architecture'), /no 'architecture'/],
    ['sizes that are no numbers', (f) => setJson(f, 'architecture', { classes: '9' }), /classes is "9"/],
    ['huge sizes', (f) => setJson(f, 'architecture', { classes: 1e15 }), /classes is 1000000000000000/],
    ['other classes', (f) => setJson(f, 'architecture', { classes: 11 }), /layer 'linear'/],
    ['a missing layer', (f) => layersWith(f, 'conv1', null), /'conv1' is missing/],
    ['a layer too many', (f) => layersWith(f, '__proto', { bits: 2 }), /list of layers has '__proto'/],
    [
      'another shape',
      (f) => layersWith(f, 'conv1', { shape: [3, 3, 1, 17] }),
      /layer 'conv1' is .* expected/,
    ],
    ['another kind', (f) => layersWith(f, 'conv1', { kind: 'dense' }), /layer 'conv1' is "dense"/],
    ['9 bits', (f) => layersWith(f, 'conv1', { bits: 9 }), /bits 9; expected an integer from 2 to 8/],
    ['other bits', (f) => layersWith(f, 'conv1', { bits: 6 }), /'conv1.vqk' is U8/],
    ['a block size of 0', (f) => layersWith(f, second!.name, { blockSize: 0 }), /blockSize 0/],
    ['another block size', (f) => layersWith(f, second!.name, { blockSize: 6 }), /conv1.kds' is F16/],
    ['a missing tensor', ({ tensors }) => tensors.delete('conv1.vqk'), /'conv1.vqk' is missing/],
    ['a missing scale', ({ tensors }) => tensors.delete('conv1.cds'), /neither kds nor cds/],
    [
      'a tensor of no layer',
      ({ tensors }) => tensors.set('x', { dtype: 'U8', shape: [0], data: new Uint8Array(0) }),
      /'x' belongs to no layer/,
    ],
    [
      'a NaN bias',
      ({ tensors }) => (tensors.get('conv1.bias')!.data as Float32Array).fill(NaN, 4, 5),
      /'conv1.bias'\[4\] is NaN/,
    ],
    [
      'an infinite weight',
      ({ tensors }) => (tensors.get('linear.weight')!.data as Float32Array).fill(-Infinity, 0, 1),
      /'linear.weight'\[0\] is -Infinity/,
    ],
    [
      'an infinite scale',
      ({ tensors }) => (tensors.get('conv1.cds')!.data as Uint16Array).fill(0x7c00, 2, 3),
      /layer 'conv1': cds\[2\] is Infinity/,
    ],
    [
      'a weight of F16',
      ({ tensors }) => {
        tensors.set('linear.weight', { dtype: 'F16', shape: [1, 1, 64, 10], data: new Uint16Array(640) });
      },
      /'linear.weight' is F16 .* expected F32/,
    ],
    [
      'activation bits of 9',
      ({ metadata }) => metadata.set('activation_bits', '9'),
      /activation_bits is '9'/,
    ],
    [
      'labels that are no list',
      ({ metadata }) => metadata.set('labels', '{}'),
      /list of labels is an object/,
    ],
    ['a label too few', ({ metadata }) => metadata.set('labels', '["a"]'), /labels has 1 names/],
    [
      'preprocessing without mean',
      (f) => setJson(f, 'preprocessing', { mean: 0 }),
      /preprocessing.mean is 0/,
    ],
    ['another resize', (f) => setJson(f, 'preprocessing', { resize: 1 }), /preprocessing.resize' is 1/],
    ['broken JSON', ({ metadata }) => metadata.set('layers', '{"a":'), /list of layers has the end/],
  ])('refuses %s', (_, change, message) => {
    const file = readSafetensors(writeNetwork(make()).slice(), 'x');
    change(file);
    const bytes = writeSafetensors(file.tensors, file.metadata);
    expect(() => readNetwork(bytes, 'net.safetensors')).toThrow(FileFormatError);
    expect(() => readNetwork(bytes, 'net.safetensors')).toThrow(message);
  });
});
