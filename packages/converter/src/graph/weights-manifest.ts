/** The weights of a model.json: its manifest, and the shards that the manifest names. Everything is checked before it is believed. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileFormatError } from '@dsconv/models';
import { accessError } from '../errors.js';
import { isRecord, type JsonRecord, text } from '../json-values.js';
import { readBytes } from '../read-bytes.js';
import {
  elementCount,
  type StoredWeight,
  storedValueSize,
  type WeightQuantization,
} from './stored-weights.js';

const DTYPES = ['float32', 'int32', 'bool', 'string', 'complex64'] as const;

type Entry = Omit<StoredWeight, 'bytes'>;

/**
 * Reads every weight a manifest lists.
 *
 * @param manifest `weightsManifest` of a model.json
 * @param modelPath the model.json, beside which the shards lie
 * @throws FileFormatError when an entry is malformed, or the shards are longer or shorter than the entries
 * @throws FileAccessError naming a shard that is missing or unreadable
 */
export async function readWeights(manifest: unknown, modelPath: string): Promise<Map<string, StoredWeight>> {
  if (!Array.isArray(manifest)) {
    throw new FileFormatError(modelPath, `weightsManifest is ${text(manifest)}; expected an array of groups`);
  }
  const weights = new Map<string, StoredWeight>();
  for (const group of manifest) {
    const entries = readEntries(group, modelPath);
    const bytes = await readShards(group as JsonRecord, entries, modelPath);
    cut(entries, bytes, weights, modelPath);
  }
  return weights;
}

function readEntries(group: unknown, path: string): Entry[] {
  const list = isRecord(group) ? group.weights : undefined;
  if (!Array.isArray(list)) {
    throw new FileFormatError(
      path,
      `a group of weightsManifest is ${text(group)}; expected paths and weights`,
    );
  }
  return list.map((entry) => readEntry(entry, path));
}

function readEntry(entry: unknown, path: string): Entry {
  const { name, shape, dtype, quantization } = isRecord(entry) ? entry : ({} as JsonRecord);
  if (typeof name !== 'string') {
    throw new FileFormatError(path, `a weight of weightsManifest is ${text(entry)}; expected a name`);
  }
  const fail = (problem: string): never => {
    throw new FileFormatError(path, `weight '${name}' ${problem}`);
  };
  if (!DTYPES.includes(dtype as Entry['dtype'])) {
    fail(`has dtype ${text(dtype)}; expected one of ${DTYPES.join(', ')}`);
  }
  if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0)) {
    return fail(`has shape ${text(shape)}; expected non-negative integers`);
  }
  return {
    name,
    shape: shape as number[],
    dtype: dtype as Entry['dtype'],
    ...(quantization === undefined
      ? {}
      : { quantization: readQuantization(quantization, dtype as string, fail) }),
  };
}

function readQuantization(
  value: unknown,
  dtype: string,
  fail: (problem: string) => never,
): WeightQuantization {
  const { dtype: stored, scale, min } = isRecord(value) ? value : ({} as JsonRecord);
  if (stored === 'float16' && dtype === 'float32') return { dtype: stored };
  if (stored !== 'uint8' && stored !== 'uint16') {
    return fail(`has quantization ${text(value)}; expected dtype uint8, uint16, or float16 of float32`);
  }
  if (dtype !== 'float32' && dtype !== 'int32') {
    return fail(`is ${dtype} and quantized; expected float32 or int32 with a quantization`);
  }
  if (!Number.isFinite(scale) || !Number.isFinite(min)) {
    return fail(`has quantization ${text(value)}; expected a finite scale and min`);
  }
  return { dtype: stored, scale: scale as number, min: min as number };
}

/** Checks the shards' names and, where no weight is a string, their total length before any of them is read. */
async function readShards(group: JsonRecord, entries: Entry[], path: string): Promise<Uint8Array> {
  const { paths } = group;
  if (!Array.isArray(paths) || !paths.every((part) => typeof part === 'string')) {
    throw new FileFormatError(path, `the paths of a group are ${text(paths)}; expected file names`);
  }
  const files = (paths as string[]).map((part) => {
    if (isInsideFolder(part)) return join(dirname(path), part);
    throw new FileFormatError(
      path,
      `the shard ${text(part)} is outside the model's folder; expected a relative path inside it`,
    );
  });
  let found = 0;
  for (const file of files) {
    const status = await stat(file).catch((error: unknown) => {
      throw accessError(file, error, 'read');
    });
    found += status.size;
  }
  if (entries.every(({ dtype }) => dtype !== 'string')) {
    const expected = entries.reduce((sum, e) => sum + elementCount(e.shape) * storedValueSize(e), 0);
    if (found !== expected) {
      throw new FileFormatError(
        path,
        `the shards ${text(paths)} hold ${found} bytes; expected ${expected} for the weights of their group`,
      );
    }
  }
  const shards: Uint8Array[] = [];
  for (const file of files) shards.push(await readBytes(file));
  return shards.length === 1 ? shards[0]! : Buffer.concat(shards);
}

/** A manifest comes from strangers: no absolute path, drive, URL or way up. */
export function isInsideFolder(part: string): boolean {
  if (part.includes('\0') || part.includes(':')) return false;
  return part.split(/[/\\]/).every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** Weights may run across the borders of shards, which is why the group was joined. */
function cut(
  entries: readonly Entry[],
  bytes: Uint8Array,
  weights: Map<string, StoredWeight>,
  path: string,
): void {
  let at = 0;
  for (const entry of entries) {
    const { name } = entry;
    if (weights.has(name)) {
      throw new FileFormatError(path, `weight '${name}' is listed twice; expected it once`);
    }
    const length =
      entry.dtype === 'string'
        ? stringsLength(entry, bytes, at)
        : elementCount(entry.shape) * storedValueSize(entry);
    if (at + length > bytes.length) {
      throw new FileFormatError(
        path,
        `weight '${name}' needs ${at + length} bytes of its group's shards; expected at most their ${bytes.length}`,
      );
    }
    weights.set(name, { ...entry, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  if (at !== bytes.length) {
    throw new FileFormatError(
      path,
      `the shards of a group hold ${bytes.length} bytes; expected ${at} for its weights`,
    );
  }
}

/** Every string is its length in four bytes, then its bytes. Past the end the sum only has to be too large. */
function stringsLength({ shape }: Entry, bytes: Uint8Array, start: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = start;
  for (let n = elementCount(shape); n > 0; n--) {
    if (at + 4 > bytes.length) return Number.POSITIVE_INFINITY;
    at += 4 + view.getUint32(at, true);
  }
  return at - start;
}
