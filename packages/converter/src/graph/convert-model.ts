/** A model on disk, converted: from a path to the files of the quantized model. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UnsupportedError } from '@dsconv/core';
import { accessError } from '../errors.js';
import { convertOnnx } from '../onnx/convert-onnx.js';
import { looksLikeOnnx } from '../onnx/fields.js';
import { readBytes } from '../read-bytes.js';
import { type Conversion, type ConvertOptions, convertGraph } from './convert-graph.js';
import { parseModelJson, readGraph } from './model-json.js';
import { readWeights } from './weights-manifest.js';

/**
 * Converts a GraphModel, an ONNX model or a LayersModel: convolutions and products with constant matrices become `DSConv2D` and
 * `DSDepthwiseConv2D` nodes, or frozen layers, with what follows them folded in, and everything else stays. The result is compared with the original
 * before it is returned; an ONNX model's is a GraphModel, and its original the float GraphModel that it was translated to.
 *
 * @param path a model.json or an ONNX file, which its contents tell, or the folder that holds one
 * @throws FileAccessError, FileFormatError when files are missing or malformed; the message names file, node and operator, or layer and class
 * @throws UnsupportedError for a LayersModel where the package @tensorflow/tfjs-layers is not there
 * @throws ComparisonError when the converted model computes something else
 * @throws InvalidArgumentError, NotFiniteError, BackendUnavailableError as {@link convertGraph}
 */
export async function convertModel(path: string, options: ConvertOptions): Promise<Conversion> {
  const status = await stat(path).catch((error: unknown) => {
    throw accessError(path, error, 'read');
  });
  const file = status.isDirectory() ? await modelIn(path) : path;
  const bytes = await readBytes(file);
  if (looksLikeOnnx(bytes) || (file.endsWith('.onnx') && bytes[0] !== OPENING_BRACE)) {
    return convertOnnx(bytes, file, options);
  }
  const { json, format } = parseModelJson(bytes, file);
  const weights = await readWeights(json.weightsManifest, file);
  const stored = [...weights.values()].reduce((sum, weight) => sum + weight.bytes.length, 0);
  const before = { format, bytesBefore: bytes.length + stored };
  if (format === 'layers-model') {
    const { convertLayersModel } = await import('../layers/convert-layers-model.js').catch(withoutLayers);
    return convertLayersModel(json, weights, file, before, options);
  }
  const graph = readGraph(json, weights, file, options.keep);
  return convertGraph(graph, json, before, options);
}

/** What JSON begins with. */
const OPENING_BRACE = 0x7b;

/** A model.json comes first; without one, the only ONNX file. */
async function modelIn(folder: string): Promise<string> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw accessError(folder, error, 'read');
  });
  const onnx = names.filter((name) => name.endsWith('.onnx'));
  const isClear = !names.includes('model.json') && onnx.length === 1;
  return join(folder, isClear ? onnx[0]! : 'model.json');
}

/** The package that runs LayersModels is needed for them alone. */
function withoutLayers(error: unknown): never {
  if ((error as NodeJS.ErrnoException | null)?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  throw new UnsupportedError(
    "the package '@tensorflow/tfjs-layers' is not there; expected it installed, since LayersModels are run with it",
  );
}
