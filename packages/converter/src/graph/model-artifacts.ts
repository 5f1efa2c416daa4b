/** From a graph back to the parts of a TensorFlow.js model: topology, weights, shards. */
import { createHash } from 'node:crypto';
import type { JsonRecord } from '../json-values.js';
import type { Graph } from './graph.js';
import { joinWeights, manifestEntry, type StoredWeight } from './stored-weights.js';

/** A shard is at most this long; browsers cache files of this size. */
const SHARD_BYTES = 4 * 2 ** 20;

/** A model as files of a folder, `model.json` last. */
export type ModelFiles = Map<string, Uint8Array>;

/** The topology with the graph's nodes in place of the source's; functions and whatever else it has stay. */
export function topologyOf(graph: Graph, source: JsonRecord): JsonRecord {
  const node = graph.sorted().map(({ name, op, inputs, attr }) => {
    return { name, op, ...(inputs.length > 0 ? { input: inputs } : {}), attr };
  });
  return { ...(source.modelTopology as JsonRecord), node };
}

/**
 * The files of a model. Shards have the start of their SHA-256 in their names, so that a cache never mixes two conversions of one model.
 *
 * @param head everything of the model.json but the manifest
 */
export function modelFiles(head: JsonRecord, weights: Iterable<StoredWeight>): ModelFiles {
  const list = [...weights];
  const bytes = joinWeights(list);
  const files: ModelFiles = new Map();
  const count = Math.max(1, Math.ceil(bytes.length / SHARD_BYTES));
  const paths: string[] = [];
  for (let n = 0; n < count; n++) {
    const shard = bytes.subarray(n * SHARD_BYTES, (n + 1) * SHARD_BYTES);
    const hash = createHash('sha256').update(shard).digest('hex').slice(0, 8);
    const path = `group1-shard${n + 1}of${count}.${hash}.bin`;
    paths.push(path);
    files.set(path, shard);
  }
  const manifest = [{ paths, weights: list.map(manifestEntry) }];
  files.set('model.json', new TextEncoder().encode(JSON.stringify({ ...head, weightsManifest: manifest })));
  return files;
}
