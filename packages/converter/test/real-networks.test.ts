/** The networks of the measuring data: the same probabilities as TensorFlow.js, the accuracy they are known for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Network, preprocess, type RawImage } from '@dsconv/models';
import { argMax, setBackend, type Tensor, type Tensor2D, tensor4d, tidy } from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { registerEmulatedKernels } from '../../models/test/support/emulated-kernels.js';
import { dataMissing, dataPath, readCifar } from '../../models/test/support/shared-data.js';
import { quantizeNetwork, readFloatNetwork } from '../src/index.js';

const MOBILENET = 'mobilenet-v1-0.75-224';

beforeAll(async () => {
  await setBackend('wasm');
  registerEmulatedKernels('wasm');
});

async function photograph(index: number): Promise<RawImage> {
  const file = dataPath(`imagenet-photos/${String(index).padStart(4, '0')}.jpg`);
  const { data, info } = await sharp(file)
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels as 3 };
}

function batch(network: Network, images: readonly RawImage[]): Tensor {
  const { size, channels } = network.preprocessing;
  const pixels = size * size * channels;
  const data = new Float32Array(images.length * pixels);
  images.forEach((image, n) => {
    data.set(preprocess(image, network.preprocessing), n * pixels);
  });
  return tensor4d(data, [images.length, size, size, channels]);
}

const classesOf = (probabilities: Tensor2D): number[] =>
  Array.from(tidy(() => argMax(probabilities, 1).dataSync()));

describe.skipIf(dataMissing(MOBILENET, 'imagenet-photos'))(
  'MobileNet 0.75 (needs the measuring data)',
  () => {
    const indices = Array.from({ length: 12 }, (_, n) => n * 84);
    let float: Network;
    let x: Tensor;

    beforeAll(async () => {
      float = await readFloatNetwork(dataPath(MOBILENET));
      x = batch(float, await Promise.all(indices.map(photograph)));
    });

    it('is found for what it is', () => {
      expect(float.architecture.name).toBe('mobilenet_v1_0.75');
      expect(float.labels).toHaveLength(1000);
      expect(float.metadata.sourceSha256).toMatch(/^[0-9a-f]{64}$/);
    });

    it('agrees with the LayersModel to 1e-4 in probability', async () => {
      const model = await loadLayersModel({ load: () => Promise.resolve(artifacts()) });
      const expected = (model.predict(x) as Tensor).dataSync();
      const found = float.predict(x as never).dataSync();
      let largest = 0;
      for (let n = 0; n < expected.length; n++) {
        largest = Math.max(largest, Math.abs(expected[n]! - found[n]!));
      }
      expect(expected).toHaveLength(found.length);
      expect(largest).toBeLessThan(1e-4);
    });

    it('knows most of the photographs, and mostly still does at 8 bits', async () => {
      const right = (classes: number[]): number => classes.filter((found, n) => found === indices[n]).length;
      const floatClasses = classesOf(float.predict(x as never));
      expect(right(floatClasses)).toBeGreaterThanOrEqual(8);
      const { network } = await quantizeNetwork(float, { bits: 8, method: 'absmax' });
      const agreeing = classesOf(network.predict(x as never)).filter((found, n) => found === floatClasses[n]);
      expect(agreeing.length).toBeGreaterThanOrEqual(9);
      network.dispose();
    });

    function artifacts() {
      const { modelTopology, weightsManifest } = JSON.parse(
        readFileSync(dataPath(join(MOBILENET, 'model.json')), 'utf8'),
      );
      const paths = weightsManifest.flatMap((group: { paths: string[] }) => group.paths);
      const shards = paths.map((path: string) => readFileSync(dataPath(join(MOBILENET, path))));
      const { buffer, byteOffset, byteLength } = Buffer.concat(shards);
      const weightSpecs = weightsManifest.flatMap((group: { weights: object[] }) => group.weights);
      return {
        modelTopology,
        weightSpecs,
        weightData: buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer,
      };
    }
  },
);

describe.each([20, 56])('ResNet-%i for CIFAR-10', (depth) => {
  const file = `cifar-resnet${depth}.safetensors`;

  it.skipIf(dataMissing(file, 'cifar10-test.bin'))(
    'reaches its accuracy, float and at 4 bits (needs the measuring data)',
    async () => {
      const float = await readFloatNetwork(dataPath(file));
      expect(float.architecture.name).toBe(`resnet${depth}`);
      expect(float.labels[3]).toBe('cat');
      const pictures = readCifar(400);
      const x = batch(
        float,
        pictures.map(({ data }) => ({ data, width: 32, height: 32, channels: 3 })),
      );
      const accuracy = (classes: number[]): number =>
        classes.filter((found, n) => found === pictures[n]!.label).length / pictures.length;
      const floatAccuracy = accuracy(classesOf(float.predict(x as never)));
      const { network } = await quantizeNetwork(float, { bits: 4, method: 'absmax' });
      const quantizedAccuracy = accuracy(classesOf(network.predict(x as never)));
      expect(floatAccuracy).toBeGreaterThan(0.77);
      expect(floatAccuracy).toBeLessThan(0.87);
      expect(quantizedAccuracy).toBeGreaterThan(floatAccuracy - 0.06);
    },
  );
});
