/** Runs a TensorFlow.js graph that is in memory, for comparing. */

import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import type { NamedTensorMap, Tensor } from '@tensorflow/tfjs-core';
import type { JsonRecord } from '../json-values.js';
import type { Graph } from './graph.js';
import { type ModelFiles, topologyOf } from './model-artifacts.js';
import { signatureOf } from './model-json.js';
import { joinWeights, manifestEntry } from './stored-weights.js';

/** Loads a graph as TensorFlow.js would from disk. Operators of converted graphs must be registered. */
export async function loadGraph(graph: Graph, source: JsonRecord): Promise<GraphModel> {
  const weights = [...graph.weights.values()];
  const signature = signatureOf(source);
  const artifacts = {
    format: 'graph-model',
    modelTopology: topologyOf(graph, source),
    weightSpecs: weights.map(manifestEntry),
    weightData: joinWeights(weights).buffer,
    ...(signature ? { signature } : {}),
    ...('modelInitializer' in source ? { modelInitializer: source.modelInitializer } : {}),
    ...('initializerSignature' in source ? { initializerSignature: source.initializerSignature } : {}),
  };
  return (await loadGraphModel({ load: async () => artifacts as never })) as GraphModel;
}

/** Loads a model from the files it is about to be written to. */
export async function loadFiles(files: ModelFiles): Promise<GraphModel> {
  const { weightsManifest, ...model } = JSON.parse(new TextDecoder().decode(files.get('model.json')));
  const [{ paths, weights }] = weightsManifest as [{ paths: string[]; weights: object[] }];
  const artifacts = {
    ...model,
    weightSpecs: weights,
    weightData: paths.map((path) => new Uint8Array(files.get(path)!).buffer),
  };
  return (await loadGraphModel({ load: async () => artifacts as never })) as GraphModel;
}

/**
 * Outputs of nodes. Graphs with control flow or operators that return promises run asynchronously.
 *
 * @param names nodes, as `name` or `name:output`
 */
export async function runGraph(
  model: GraphModel,
  inputs: NamedTensorMap,
  names: readonly string[],
): Promise<Tensor[]> {
  let outputs: Tensor | Tensor[];
  try {
    outputs = model.execute(inputs, [...names]);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('executeAsync')) throw error;
    outputs = await model.executeAsync(inputs, [...names]);
  }
  return Array.isArray(outputs) ? outputs : [outputs];
}
