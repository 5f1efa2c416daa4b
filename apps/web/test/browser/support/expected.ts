/** What the page should show, computed in Node from the same files. */
import '@dsconv/backend-cpu';
import { readdirSync, readFileSync } from 'node:fs';
import { readFloatBytes } from '@dsconv/converter/in-memory';
import { selectBackend } from '@dsconv/core';
import { loadModel, type Network, preprocess, type RawImage } from '@dsconv/models';
import { tensor4d } from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { dequantized } from '../../../src/workers/dequantized.js';

const ASSETS = new URL('../../../../../packages/models/assets/', import.meta.url);
const TRAINING = new URL('../../../../../packages/models/training/', import.meta.url);
export const ID = 'resnet20.fashion_mnist';

export interface Labelled {
  file: string;
  labelIndex: number;
  label: string;
}

export const LABELS: Labelled[] = JSON.parse(
  readFileSync(new URL('fashion-mnist/labels.json', ASSETS), 'utf8'),
);

export const samplePath = (file: string): string => new URL(`fashion-mnist/${file}`, ASSETS).pathname;

export async function samplePicture(file: string): Promise<RawImage> {
  const { data, info } = await sharp(samplePath(file))
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels as 3 };
}

export function shippedBytes(): number {
  return readFileSync(new URL(`${ID}.safetensors`, ASSETS)).length;
}

/** Of all files in which the network is shipped. */
export function shippedSizes(): number[] {
  const files = readdirSync(ASSETS).filter(
    (name) => name.startsWith(`${ID}.`) && name.endsWith('.safetensors'),
  );
  return files.map((name) => readFileSync(new URL(name, ASSETS)).length);
}

/** The shipped network, and the float one that the page compares it with. */
export async function networks(): Promise<{ quantized: Network; float: Network; isDequantized: boolean }> {
  await selectBackend(['dsconv-cpu']);
  const quantized = await loadModel(ID);
  const file = readdirSync(TRAINING).find((name) =>
    /^fashion-mnist-resnet20\.float.*\.safetensors$/.test(name),
  );
  if (!file) return { quantized, float: dequantized(quantized), isDequantized: true };
  const { name, channels, classes, inputSize } = quantized.architecture;
  const architecture = { name, channels, classes, inputSize };
  const float = await readFloatBytes(readFileSync(new URL(file, TRAINING)), ID, { architecture });
  return { quantized, float, isDequantized: false };
}

/** The best class for every sample. */
export async function classes(network: Network): Promise<number[]> {
  const found: number[] = [];
  for (const { file } of LABELS) {
    const x = tensor4d(preprocess(await samplePicture(file), network.preprocessing), [1, 28, 28, 1]);
    const logits = await network.logits(x).data();
    found.push(logits.indexOf(Math.max(...logits)));
    x.dispose();
  }
  return found;
}
