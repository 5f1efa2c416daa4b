/** A TensorFlow.js LayersModel: `model.json` and the shards its manifest names, wherever they lie. */
import { FileFormatError } from '@dsconv/models';
import { checkFloatLayers } from './check-float-layers.js';
import { isRecord, type JsonRecord, text } from './json-values.js';
import { hashOf } from './sha256.js';
import type { SourceTensor } from './source-tensors.js';

/** Where model.json and shards are read from: a disk, a cache. */
export interface ModelFiles {
  /** Bytes of a file. */
  size(path: string): Promise<number>;
  read(path: string): Promise<Uint8Array>;
}

/** What was there, nothing interpreted but the weights. */
export interface LayersModelFile {
  /** Keras layers of the topology, by name. */
  layers: Map<string, KerasLayer>;
  tensors: Map<string, SourceTensor>;
  /** SHA-256 of model.json followed by the shards in the order of the manifest, hexadecimal. */
  sha256: string;
}

export interface KerasLayer {
  className: string;
  config: JsonRecord;
  /** Name of the layer whose output this one reads first, or null. */
  input: string | null;
}

interface ManifestWeight {
  name: string;
  shape: number[];
  count: number;
}

/**
 * @param modelPath of model.json; the shards lie beside it
 * @throws FileFormatError when it is damaged or its layers are quantized, and what `files` throws
 */
export async function readLayersModel(modelPath: string, files: ModelFiles): Promise<LayersModelFile> {
  const bytes = await files.read(modelPath);
  const all = [bytes];
  const model = parseModel(bytes, modelPath);
  const layers = readLayers(model, modelPath);
  checkFloatLayers(layers, modelPath);
  const manifest = model.weightsManifest;
  if (!Array.isArray(manifest)) {
    throw new FileFormatError(modelPath, `weightsManifest is ${text(manifest)}; expected an array of groups`);
  }
  const tensors: LayersModelFile['tensors'] = new Map();
  for (const group of manifest) {
    const weights = readWeightSpecs(group, modelPath);
    const shards = await readShards(group as JsonRecord, weights, modelPath, files);
    all.push(...shards);
    cutWeights(weights, shards, tensors, modelPath);
  }
  return { layers, tensors, sha256: await hashOf(joined(all)) };
}

function parseModel(bytes: Uint8Array, path: string): JsonRecord {
  let model: unknown;
  try {
    model = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new FileFormatError(
      path,
      `is not JSON (${(error as Error).message}); expected a TensorFlow.js model.json`,
    );
  }
  if (!isRecord(model)) {
    throw new FileFormatError(path, `is ${text(model)}; expected a JSON object, a TensorFlow.js model.json`);
  }
  const topology = model.modelTopology;
  if (model.format === 'graph-model' || (isRecord(topology) && 'node' in topology)) {
    throw new FileFormatError(path, 'is a GraphModel; expected a LayersModel');
  }
  return model;
}

/** The list of layers stands at different depths in models saved by different versions. */
function readLayers(model: JsonRecord, path: string): Map<string, KerasLayer> {
  const topology = model.modelTopology;
  const outer = isRecord(topology) && isRecord(topology.model_config) ? topology.model_config : topology;
  const config = isRecord(outer) ? outer.config : undefined;
  const list = isRecord(config) ? config.layers : config;
  if (!Array.isArray(list)) {
    throw new FileFormatError(path, `the topology's list of layers is ${text(list)}; expected an array`);
  }
  const layers = new Map<string, KerasLayer>();
  for (const [n, entry] of list.entries()) {
    if (!isRecord(entry) || typeof entry.class_name !== 'string' || !isRecord(entry.config)) {
      throw new FileFormatError(path, `layer ${n} is ${text(entry)}; expected class_name and config`);
    }
    const name = entry.name ?? entry.config.name;
    if (typeof name !== 'string' || layers.has(name)) {
      throw new FileFormatError(
        path,
        `layer ${n} has the name ${text(name)}; expected a string no other layer has`,
      );
    }
    layers.set(name, { className: entry.class_name, config: entry.config, input: firstInput(entry) });
  }
  return layers;
}

/** `inbound_nodes` is `[[[name, node, tensor, arguments], …], …]`. */
function firstInput(entry: JsonRecord): string | null {
  let node: unknown = entry.inbound_nodes;
  for (let depth = 0; depth < 3; depth++) node = Array.isArray(node) ? node[0] : undefined;
  return typeof node === 'string' ? node : null;
}

function readWeightSpecs(group: unknown, path: string): ManifestWeight[] {
  const list = isRecord(group) ? group.weights : undefined;
  if (!Array.isArray(list)) {
    throw new FileFormatError(
      path,
      `a group of weightsManifest is ${text(group)}; expected paths and weights`,
    );
  }
  return list.map((weight) => {
    const { name, shape, dtype, quantization } = isRecord(weight) ? weight : ({} as JsonRecord);
    if (typeof name !== 'string') {
      throw new FileFormatError(path, `a weight of weightsManifest is ${text(weight)}; expected a name`);
    }
    if (dtype !== 'float32' || quantization !== undefined) {
      throw new FileFormatError(
        path,
        `weight '${name}' is ${text(dtype)}${quantization === undefined ? '' : ' and quantized'}; expected "float32"`,
      );
    }
    const naturals = Array.isArray(shape) && shape.every((d) => Number.isSafeInteger(d) && d >= 0);
    if (!naturals) {
      throw new FileFormatError(
        path,
        `weight '${name}' has shape ${text(shape)}; expected non-negative integers`,
      );
    }
    const count = (shape as number[]).reduce((product, d) => product * d, 1);
    return { name, shape: shape as number[], count };
  });
}

/** Checks the names and the total length of a group's shards before any of them is read. */
async function readShards(
  group: JsonRecord,
  weights: ManifestWeight[],
  path: string,
  files: ModelFiles,
): Promise<Uint8Array[]> {
  const folder = path.replace(/[^/\\]*$/, '');
  const paths = shardPaths(group, path).map((part) => folder + part);
  let found = 0;
  for (const file of paths) found += await files.size(file);
  const expected = 4 * weights.reduce((sum, { count }) => sum + count, 0);
  if (found !== expected) {
    throw new FileFormatError(
      path,
      `the shards ${text(group.paths)} hold ${found} bytes; expected ${expected} for the weights of their group`,
    );
  }
  const shards: Uint8Array[] = [];
  for (const file of paths) shards.push(await files.read(file));
  return shards;
}

/** Names of all shards that a model.json lists. @throws FileFormatError */
export function listShards(bytes: Uint8Array, path: string): string[] {
  const { weightsManifest } = parseModel(bytes, path);
  if (!Array.isArray(weightsManifest)) return [];
  return weightsManifest.flatMap((group) => (isRecord(group) ? shardPaths(group, path) : []));
}

function shardPaths({ paths }: JsonRecord, path: string): string[] {
  if (!Array.isArray(paths) || !paths.every((part) => typeof part === 'string')) {
    throw new FileFormatError(path, `the paths of a group are ${text(paths)}; expected file names`);
  }
  for (const part of paths as string[]) {
    if (isInsideFolder(part)) continue;
    throw new FileFormatError(
      path,
      `the shard ${text(part)} is outside the model's folder; expected a relative path inside it`,
    );
  }
  return paths as string[];
}

/** A manifest comes from strangers: no absolute path, drive, URL or way up. */
function isInsideFolder(part: string): boolean {
  if (part.includes('\0') || part.includes(':')) return false;
  return part.split(/[/\\]/).every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** Weights may run across the borders of shards, so the group is joined first. */
function cutWeights(
  weights: readonly ManifestWeight[],
  shards: readonly Uint8Array[],
  tensors: LayersModelFile['tensors'],
  path: string,
): void {
  const { buffer } = joined(shards);
  let at = 0;
  for (const { name, shape, count } of weights) {
    if (tensors.has(name)) {
      throw new FileFormatError(path, `weight '${name}' is listed twice; expected it once`);
    }
    tensors.set(name, { shape, data: new Float32Array(buffer, at, count) });
    at += count * 4;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
