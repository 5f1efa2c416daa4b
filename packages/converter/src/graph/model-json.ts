/** A TensorFlow.js model.json, parsed and told apart. */
import { FileFormatError, nearest } from '@dsconv/models';
import { isRecord, type JsonRecord, text } from '../json-values.js';
import { Graph, type GraphNode, parseReference } from './graph.js';
import type { StoredWeight } from './stored-weights.js';

export type ModelFormat = 'graph-model' | 'layers-model';

/**
 * Parses a model.json.
 *
 * @throws FileFormatError when it is not JSON, no object, or neither a GraphModel nor a LayersModel
 */
export function parseModelJson(bytes: Uint8Array, path: string): { json: JsonRecord; format: ModelFormat } {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new FileFormatError(
      path,
      `is not JSON (${(error as Error).message}); expected a TensorFlow.js model.json`,
    );
  }
  if (Array.isArray(json) && json.length > 0 && json.every((g) => isRecord(g) && 'weights' in g)) {
    throw new FileFormatError(
      path,
      'is a manifest of weights without a network; expected a model.json with a modelTopology',
    );
  }
  if (!isRecord(json) || !isRecord(json.modelTopology)) {
    throw new FileFormatError(
      path,
      `has modelTopology ${text(isRecord(json) ? json.modelTopology : json)}; expected a TensorFlow.js model.json`,
    );
  }
  const isGraph = json.format === 'graph-model' || 'node' in json.modelTopology;
  return { json, format: isGraph ? 'graph-model' : 'layers-model' };
}

/**
 * The graph of a GraphModel.
 *
 * @param keep names of nodes that must stay although no output needs them
 * @throws NodeError, FileFormatError when nodes are malformed, miss an input or a weight, or form a circle
 */
export function readGraph(
  json: JsonRecord,
  weights: Map<string, StoredWeight>,
  path: string,
  keep: readonly string[] = [],
): Graph {
  const topology = json.modelTopology as JsonRecord;
  if (!Array.isArray(topology.node)) {
    throw new FileFormatError(
      path,
      `the topology's node is ${text(topology.node)}; expected an array of nodes`,
    );
  }
  const graph = new Graph(path, weights);
  for (const [n, entry] of topology.node.entries()) graph.add(readNode(entry, n, path));
  graph.checkConstants();
  setOutputs(graph, outputNames(json, path), keep);
  graph.sorted();
  return graph;
}

function readNode(entry: unknown, n: number, path: string): GraphNode {
  const { name, op, input = [], attr = {} } = isRecord(entry) ? entry : ({} as JsonRecord);
  if (typeof name !== 'string' || typeof op !== 'string' || name === '') {
    throw new FileFormatError(path, `node ${n} is ${text(entry)}; expected a name and an op`);
  }
  if (!Array.isArray(input) || !input.every((part) => typeof part === 'string')) {
    throw new FileFormatError(path, `node '${name}' (${op}) has input ${text(input)}; expected names`);
  }
  if (!isRecord(attr)) {
    throw new FileFormatError(path, `node '${name}' (${op}) has attr ${text(attr)}; expected an object`);
  }
  return { name, op, inputs: [...(input as string[])], attr };
}

/** TensorFlow.js passes over outputs of the signature that are not there, as long as one is. */
function setOutputs(graph: Graph, named: readonly string[], keep: readonly string[]): void {
  const found = named.filter((name) => graph.nodes.has(name));
  const missing = [...(found.length === 0 ? named : []), ...keep].find((name) => !graph.nodes.has(name));
  if (missing !== undefined) {
    const similar = nearest(missing, graph.nodes.keys()).map((name) => `'${name}'`);
    throw new FileFormatError(
      graph.file,
      `the output '${missing}' is no node of the graph; the nearest names are ${similar.join(', ') || 'none'}`,
    );
  }
  const consumers = graph.consumers();
  const unread = [...graph.nodes.values()].filter(({ name, op }) => {
    return op !== 'Const' && op !== 'NoOp' && !consumers.has(name);
  });
  for (const name of found.length > 0 ? found : unread.map((node) => node.name)) graph.outputs.add(name);
  for (const name of keep) graph.outputs.add(name);
}

/** The signature stands at the top, or in userDefinedMetadata in files of older converters. */
export function signatureOf(json: JsonRecord): JsonRecord | null {
  if (isRecord(json.signature)) return json.signature;
  const metadata = json.userDefinedMetadata;
  return isRecord(metadata) && isRecord(metadata.signature) ? metadata.signature : null;
}

function outputNames(json: JsonRecord, path: string): string[] {
  const outputs = signatureOf(json)?.outputs;
  if (outputs === undefined) return [];
  if (!isRecord(outputs)) {
    throw new FileFormatError(path, `the signature's outputs are ${text(outputs)}; expected an object`);
  }
  return Object.values(outputs).map((output) => {
    const name = isRecord(output) ? output.name : undefined;
    if (typeof name !== 'string') {
      throw new FileFormatError(path, `an output of the signature is ${text(output)}; expected a name`);
    }
    return parseReference(name).name;
  });
}
