/** A TensorFlow.js model on disk, converted: from a path to the files of the quantized model. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UnsupportedError } from '@dsconv/core';
import { accessError } from '../errors.js';
import { readBytes } from '../read-bytes.js';
import { type Conversion, type ConvertOptions, convertGraph } from './convert-graph.js';
import { parseModelJson, readGraph } from './model-json.js';
import { readWeights } from './weights-manifest.js';

/**
 * Converts a GraphModel: convolutions and products with constant matrices become `DSConv2D` and `DSDepthwiseConv2D` nodes with what follows
 * them folded in, and everything else stays. The result is compared with the original before it is returned.
 *
 * @param path a model.json, or the folder that holds one
 * @throws FileAccessError, FileFormatError when files are missing or malformed; the message names file, node and operator
 * @throws UnsupportedError for a LayersModel
 * @throws ComparisonError when the converted graph computes something else
 * @throws InvalidArgumentError, NotFiniteError, BackendUnavailableError as {@link convertGraph}
 */
export async function convertModel(path: string, options: ConvertOptions): Promise<Conversion> {
  const status = await stat(path).catch((error: unknown) => {
    throw accessError(path, error, 'read');
  });
  const file = status.isDirectory() ? join(path, 'model.json') : path;
  const bytes = await readBytes(file);
  const { json, format } = parseModelJson(bytes, file);
  if (format === 'layers-model') {
    throw new UnsupportedError(
      `${file} is a LayersModel, of which only networks of the zoo can be quantized; expected a GraphModel`,
    );
  }
  const weights = await readWeights(json.weightsManifest, file);
  const stored = [...weights.values()].reduce((sum, weight) => sum + weight.bytes.length, 0);
  const graph = readGraph(json, weights, file, options.keep);
  return convertGraph(graph, json, { format, bytesBefore: bytes.length + stored }, options);
}
