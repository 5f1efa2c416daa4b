/** LayersModels on disk, as TensorFlow.js saves them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toFloat16Bits } from '@dsconv/core';
import { io, tensor, tidy } from '@tensorflow/tfjs-core';
import { type LayersModel, loadLayersModel } from '@tensorflow/tfjs-layers';

/** Numbers without a pattern that is the converter's in place of the initial weights; variances stay positive. */
export function fillWeights(model: LayersModel): LayersModel {
  tidy(() => {
    for (const [n, weight] of model.weights.entries()) {
      const shape = weight.shape as number[];
      const inputs = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      const size = shape.length > 1 ? 1.5 / Math.sqrt(inputs) : 0.3;
      const [centre, width] = weight.originalName.endsWith('variance')
        ? [0.6, 0.5]
        : weight.originalName.endsWith('gamma')
          ? [1, 0.4]
          : [0, size];
      const count = shape.reduce((a, b) => a * b, 1);
      const values = Float32Array.from(
        { length: count },
        (_, i) => centre + width * Math.sin(i * 12.9898 + i * i * 0.0137 + n),
      );
      weight.write(tensor(values, shape));
    }
  });
  return model;
}

/** How weights of several dimensions are stored. */
export type Storage = 'float32' | 'float16' | 'uint8';

/** What TensorFlow.js hands to whoever saves the model. */
async function artifactsOf(model: LayersModel): Promise<io.ModelArtifacts & { bytes: Uint8Array }> {
  let artifacts: io.ModelArtifacts | null = null;
  const saved = await model.save(
    io.withSaveHandler(async (given) => {
      artifacts = given;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const } };
    }),
  );
  if (!saved || artifacts === null) throw new Error('the model was not saved');
  const { weightData, ...rest } = artifacts as io.ModelArtifacts;
  return { ...rest, bytes: new Uint8Array(io.CompositeArrayBuffer.join(weightData as ArrayBuffer)) };
}

/** Writes model.json and one shard as they are, whatever the weights. */
export async function saveAsIs(model: LayersModel, folder: string): Promise<string> {
  const { bytes, weightSpecs, ...rest } = await artifactsOf(model);
  return write(folder, rest, bytes, weightSpecs!);
}

/** Writes a model of float32 weights, and returns the path of model.json. */
export async function saveLayers(
  model: LayersModel,
  folder: string,
  storage: Storage = 'float32',
): Promise<string> {
  const { bytes, weightSpecs, ...rest } = await artifactsOf(model);
  const parts: Uint8Array[] = [];
  let at = 0;
  const weights = weightSpecs!.map((spec) => {
    const count = spec.shape.reduce((a, b) => a * b, 1);
    const part = bytes.slice(at, at + 4 * count);
    at += 4 * count;
    const { stored, quantization } = store(part, spec.shape.length > 1 ? storage : 'float32');
    parts.push(stored);
    return { ...spec, ...(quantization ? { quantization } : {}) };
  });
  return write(folder, rest, Buffer.concat(parts), weights);
}

function write(folder: string, head: object, bytes: Uint8Array, weights: object[]): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'weights.bin'), bytes);
  const path = join(folder, 'model.json');
  const manifest = [{ paths: ['weights.bin'], weights }];
  writeFileSync(path, JSON.stringify({ ...head, weightsManifest: manifest }));
  return path;
}

function store(bytes: Uint8Array, storage: Storage): { stored: Uint8Array; quantization?: object } {
  const values = new Float32Array(bytes.buffer);
  if (storage === 'float16') {
    const halves = Uint16Array.from(values, toFloat16Bits);
    return { stored: new Uint8Array(halves.buffer), quantization: { dtype: 'float16' } };
  }
  if (storage === 'float32') return { stored: bytes };
  const [min, max] = [Math.min(...values), Math.max(...values)];
  const scale = (max - min) / 255;
  const stored = Uint8Array.from(values, (value) => Math.round((value - min) / scale));
  return { stored, quantization: { dtype: 'uint8', scale, min } };
}

/** Loads a LayersModel from disk by TensorFlow.js alone. */
export async function loadLayersFromDisk(path: string): Promise<LayersModel> {
  const { weightsManifest, ...model } = JSON.parse(readFileSync(path, 'utf8'));
  const weightSpecs = weightsManifest.flatMap((group: { weights: object[] }) => group.weights);
  const shards = weightsManifest.flatMap((group: { paths: string[] }) =>
    group.paths.map((shard) => readFileSync(join(dirname(path), shard))),
  );
  const weightData = new Uint8Array(Buffer.concat(shards)).buffer;
  return loadLayersModel({ load: async () => ({ ...model, weightSpecs, weightData }) });
}
