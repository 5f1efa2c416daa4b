import { readdirSync, readFileSync } from 'node:fs';
import type { DSConvFilter } from '@dsconv/core';
import { setBackend, type Tensor4D, tensor4d } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import sharp from 'sharp';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  examplePictures,
  FileFormatError,
  loadModel,
  ModelNotShippedError,
  type Network,
  preprocess,
  shippedBits,
  UnknownModelError,
} from '../src/index.js';
import { readAsset } from '../src/read-asset.js';
import { registerEmulatedKernels } from './support/emulated-kernels.js';

const ID = 'resnet20.fashion_mnist';
const folder = examplePictures(ID)!;
const entries: { file: string; labelIndex: number; label: string }[] = JSON.parse(
  readFileSync(new URL('labels.json', folder), 'utf8'),
);

let network: Network;

beforeAll(async () => {
  await setBackend('wasm');
  registerEmulatedKernels('wasm');
  network = await loadModel(ID);
});

afterEach(() => vi.unstubAllGlobals());

async function input(file: string): Promise<Tensor4D> {
  const bytes = readFileSync(new URL(file, folder));
  const { data, info } = await sharp(bytes).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
  const image = { data, width: info.width, height: info.height, channels: info.channels as 1 };
  return tensor4d(preprocess(image, network.preprocessing), [1, 28, 28, 1]);
}

describe('the shipped network', () => {
  it('is small, and says what it is', () => {
    expect(network.isQuantized).toBe(true);
    expect(network.byteLength).toBeLessThan(200_000);
    expect(network.labels[9]).toBe('Ankle boot');
    expect(network.metadata.sourceSha256).toMatch(/^[0-9a-f]{64}$/);
    const card = readFileSync(new URL(`../${ID}.md`, folder), 'utf8');
    expect(card).toContain(network.metadata.sourceSha256);
  });

  it('gives the golden logits', async () => {
    const golden: { file: string; logits: number[] } = JSON.parse(
      readFileSync(new URL('golden-logits.json', folder), 'utf8'),
    );
    const found = network.logits(await input(golden.file)).dataSync();
    const difference = golden.logits.map((value, n) => Math.abs(value - found[n]!));
    // Float sums in another order may round an activation to its neighbour here and there; a wrong kernel is far from this.
    expect(Math.max(...difference)).toBeLessThan(0.01);
  });

  it('recognizes its test pictures', async () => {
    expect(entries).toHaveLength(20);
    expect(readdirSync(folder).filter((file) => file.endsWith('.png'))).toHaveLength(20);
    let right = 0;
    for (const { file, labelIndex, label } of entries) {
      expect(network.labels[labelIndex]).toBe(label);
      const probabilities = network.predict(await input(file)).dataSync();
      if (probabilities.indexOf(Math.max(...probabilities)) === labelIndex) right++;
    }
    expect(right).toBeGreaterThanOrEqual(18);
  });
});

describe('the shipped network in other bits', () => {
  it('is there in 4, 3 and 2 bits, and smaller with each', async () => {
    expect(shippedBits(ID)).toEqual([4, 3, 2]);
    expect(shippedBits('resnet56.cifar10')).toEqual([]);
    const networks = await Promise.all(shippedBits(ID).map((bits) => loadModel(ID, { bits })));
    const sizes = networks.map((each) => each.byteLength);
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    for (const [n, bits] of shippedBits(ID).entries()) {
      const { weights, metadata } = networks[n]!;
      const filters = [...weights.values()].map(({ filter }) => filter as DSConvFilter);
      // The first convolution has 8.
      expect(filters.slice(1).map((filter) => filter.bits)).toEqual(filters.slice(1).map(() => bits));
      expect(metadata.sourceSha256).toBe(network.metadata.sourceSha256);
    }
  });

  it.each([3, 2])('%i bits recognize the test pictures', async (bits) => {
    const other = await loadModel(ID, { bits });
    let right = 0;
    for (const { file, labelIndex } of entries) {
      const probabilities = other.predict(await input(file)).dataSync();
      if (probabilities.indexOf(Math.max(...probabilities)) === labelIndex) right++;
    }
    other.dispose();
    expect(right).toBeGreaterThanOrEqual(17);
  });

  it('refuses bits that are not shipped', async () => {
    await expect(loadModel(ID, { bits: 5 })).rejects.toThrow(
      /'resnet20\.fashion_mnist' is not shipped with weights of 5 bits; expected 4, 3, 2/,
    );
  });
});

describe('loadModel', () => {
  it('refuses what is not shipped, saying where it comes from, and what is not known', async () => {
    await expect(loadModel('resnet56.cifar10')).rejects.toThrow(ModelNotShippedError);
    await expect(loadModel('resnet56.cifar10')).rejects.toThrow(/akamaster/);
    await expect(loadModel('resnet20.fashion')).rejects.toThrow(UnknownModelError);
    await expect(loadModel('resnet20.fashion')).rejects.toThrow(/'resnet20\.fashion_mnist'/);
    expect(examplePictures('resnet56.cifar10')).toBeNull();
  });
});

describe('an asset', () => {
  const url = new URL('https://example.org/net.safetensors');

  it('is fetched where it is not a file', async () => {
    vi.stubGlobal('fetch', async () => new Response(Uint8Array.of(1, 2, 3)));
    expect(await readAsset(url)).toEqual(Uint8Array.of(1, 2, 3));
  });

  it('that cannot be had is a FileFormatError', async () => {
    vi.stubGlobal('fetch', async () => new Response('', { status: 404 }));
    await expect(readAsset(url)).rejects.toThrow(/net\.safetensors: the server answered 404/);
    vi.stubGlobal('fetch', async () => {
      throw new TypeError('no network');
    });
    await expect(readAsset(url)).rejects.toThrow(FileFormatError);
    await expect(readAsset(new URL('missing.safetensors', folder))).rejects.toThrow(FileFormatError);
  });
});
