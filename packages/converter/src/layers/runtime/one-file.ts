/**
 * A LayersModel as one file: safetensors with every weight by its name, and in the metadata
 *
 *   `format`, `format_version`   'dsconv-layers-model', '1'
 *   `topology`                   JSON: the `modelTopology` of a model.json
 *   `weights`                    JSON: for each weight its name, shape and dtype, in TensorFlow.js' words
 *
 * A weight of strings, as the filters of frozen layers are, is U8 `[bytes]`: every string is its length in four bytes, then its bytes.
 */
import { InvalidArgumentError } from '@dsconv/core';
import { FileFormatError, readSafetensors, type SafeTensor, writeSafetensors } from '@dsconv/models';
import type { io } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { elementCount, joinWeights, type StoredWeight } from '../../graph/stored-weights.js';
import { isRecord, type JsonRecord, text } from '../../json-values.js';
import { modelParts } from '../model-parts.js';
import { registerDSConvLayers } from './register-layers.js';

const FORMAT = 'dsconv-layers-model';
const VERSION = '1';

/** What safetensors calls TensorFlow.js' dtypes, and the arrays of their elements. */
const DTYPES = {
  float32: { dtype: 'F32', array: Float32Array },
  int32: { dtype: 'I32', array: Int32Array },
  bool: { dtype: 'BOOL', array: Uint8Array },
  string: { dtype: 'U8', array: Uint8Array },
} as const;

/**
 * The bytes of a LayersModel in one file, which {@link fromOneFile} reads.
 *
 * @param model such as a frozen one; one that learns is loaded where its layers are known
 * @throws InvalidArgumentError when the model has no weights yet
 */
export async function toOneFile(model: LayersModel): Promise<Uint8Array> {
  const { modelTopology, weights } = await modelParts(model);
  const tensors = new Map([...weights].map(([name, weight]) => [name, toTensor(weight)]));
  const entries = [...weights.values()].map(({ name, shape, dtype }) => ({ name, shape, dtype }));
  return writeSafetensors(
    tensors,
    new Map([
      ['format', FORMAT],
      ['format_version', VERSION],
      ['topology', JSON.stringify(modelTopology)],
      ['weights', JSON.stringify(entries)],
    ]),
  );
}

function toTensor({ name, shape, dtype, bytes }: StoredWeight): SafeTensor {
  if (!Object.hasOwn(DTYPES, dtype)) {
    throw new InvalidArgumentError(
      `weight '${name}' has dtype ${dtype}; expected one of ${Object.keys(DTYPES).join(', ')}`,
    );
  }
  const { dtype: stored, array } = DTYPES[dtype as keyof typeof DTYPES];
  // Copied: the bytes may lie at an odd offset.
  const data = new array(new Uint8Array(bytes).buffer);
  return { dtype: stored, shape: dtype === 'string' ? [bytes.length] : shape, data };
}

/**
 * What `tf.loadLayersModel` loads such a file with; frozen layers are made known to it.
 *
 * @param source name of the file, for errors
 * @throws FileFormatError when it is no such file or damaged
 */
export function fromOneFile(bytes: Uint8Array, source = 'the file'): io.IOHandler {
  const { tensors, metadata } = readSafetensors(bytes, source);
  const field = (name: string): string => {
    const value = metadata.get(name);
    if (value !== undefined) return value;
    throw new FileFormatError(source, `the metadata has no '${name}'; expected a LayersModel in one file`);
  };
  for (const [name, expected] of [
    ['format', FORMAT],
    ['format_version', VERSION],
  ] as const) {
    if (field(name) === expected) continue;
    throw new FileFormatError(
      source,
      `the metadata's ${name} is ${text(field(name))}; expected '${expected}'`,
    );
  }
  const modelTopology = parse(field('topology'), 'topology', source);
  const entries = parse(field('weights'), 'weights', source);
  if (!isRecord(modelTopology) || !Array.isArray(entries)) {
    throw new FileFormatError(
      source,
      'topology or weights are no object and list; expected both in the metadata',
    );
  }
  const weights = entries.map((entry) => toWeight(entry, tensors, source));
  registerDSConvLayers();
  const artifacts: io.ModelArtifacts = {
    modelTopology,
    weightSpecs: weights.map(({ name, shape, dtype }) => ({ name, shape: [...shape], dtype })),
    weightData: joinWeights(weights).buffer as ArrayBuffer,
  };
  return { load: async () => artifacts };
}

function parse(json: string, name: string, source: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new FileFormatError(source, `the metadata's ${name} is not JSON (${(error as Error).message})`);
  }
}

function toWeight(entry: unknown, tensors: ReadonlyMap<string, SafeTensor>, source: string): StoredWeight {
  const { name, shape, dtype } = isRecord(entry) ? entry : ({} as JsonRecord);
  const isShape = Array.isArray(shape) && shape.every((d) => Number.isSafeInteger(d) && d >= 0);
  if (typeof name !== 'string' || !isShape || typeof dtype !== 'string' || !Object.hasOwn(DTYPES, dtype)) {
    throw new FileFormatError(source, `a weight is ${text(entry)}; expected name, shape and dtype`);
  }
  const tensor = tensors.get(name);
  const { dtype: stored } = DTYPES[dtype as keyof typeof DTYPES];
  const fits =
    tensor?.dtype === stored && (dtype === 'string' || tensor.shape.join() === (shape as number[]).join());
  if (!tensor || !fits) {
    throw new FileFormatError(
      source,
      `weight '${name}' is ${tensor ? `${tensor.dtype} [${tensor.shape}]` : 'missing'}; expected ${stored} [${dtype === 'string' ? 'bytes' : shape}]`,
    );
  }
  const { buffer, byteOffset, byteLength } = tensor.data;
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  if (dtype === 'string' && stringsLength(bytes, elementCount(shape as number[])) !== bytes.length) {
    throw new FileFormatError(source, `weight '${name}' is cut off; expected ${shape} strings`);
  }
  return { name, shape: shape as number[], dtype: dtype as StoredWeight['dtype'], bytes };
}

/** Bytes that so many strings say they take; more than there are where one is cut off. */
function stringsLength(bytes: Uint8Array, count: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (let n = 0; n < count; n++) {
    if (at + 4 > bytes.length) return Number.POSITIVE_INFINITY;
    at += 4 + view.getUint32(at, true);
  }
  return at;
}
