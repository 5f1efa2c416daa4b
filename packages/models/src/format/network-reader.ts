import { DSConvError, DSConvFilter, type StoredScales } from '@dsconv/core';
import { type Architecture, type LayerSpec, outChannels } from '../architecture.js';
import { FileFormatError } from '../errors.js';
import { createArchitecture } from '../nets/create-architecture.js';
import { type LayerWeights, Network } from '../network.js';
import { checkPreprocessing, type Preprocessing } from '../preprocessing.js';
import { type Json, type JsonObject, shorten } from './json.js';
import { FIELDS, FORMAT, FORMAT_VERSION, SHIFTER_NAMES } from './network-format.js';
import type { Dtype, SafeTensor, SafeTensors, TensorData } from './safetensors.js';
import { describe, parseJsonOf, parseObject, readSafetensors } from './safetensors-reader.js';

/** True when a safetensors file is a network in our own format. */
export function isNetworkFile({ metadata }: SafeTensors): boolean {
  return metadata.get(FIELDS.format) === FORMAT;
}

/**
 * Reads a network that {@link writeNetwork} wrote and checks every tensor against the architecture. Filters keep views into `bytes`: do not
 * write to it afterwards.
 *
 * @param source name of the file, for errors
 * @throws FileFormatError
 */
export function readNetwork(bytes: Uint8Array, source: string): Network {
  return networkOf(readSafetensors(bytes, source), source);
}

/** {@link readNetwork} for a file whose tensors have been read. */
export function networkOf(file: SafeTensors, source: string): Network {
  const { metadata } = file;
  if (!isNetworkFile(file)) {
    throw new FileFormatError(
      source,
      `the metadata's format is ${describe(metadata.get(FIELDS.format))}; expected '${FORMAT}'`,
    );
  }
  const version = metadata.get(FIELDS.version);
  if (version !== FORMAT_VERSION) {
    throw new FileFormatError(
      source,
      `the format version is ${describe(version)}; expected '${FORMAT_VERSION}'`,
    );
  }
  return rethrown(source, () => {
    const architecture = readArchitecture(metadata, source);
    const taken = new Set<string>();
    const layers = parseObject(field(metadata, FIELDS.layers, source), 'the list of layers', source);
    checkLayerNames(layers, architecture, source);
    const weights = new Map<string, LayerWeights>();
    for (const layer of architecture.layers) {
      const take = tensorTaker(file, layer.name, taken, source);
      weights.set(
        layer.name,
        readLayer(layer, object(layers.get(layer.name), layer.name, source), take, source),
      );
    }
    for (const name of file.tensors.keys()) {
      if (!taken.has(name)) {
        throw new FileFormatError(
          source,
          `tensor '${shorten(name)}' belongs to no layer; expected only parts of ${architecture.name}`,
        );
      }
    }
    return new Network({
      architecture,
      weights,
      preprocessing: readPreprocessing(metadata, source),
      labels: readLabels(metadata, source),
      activationBits: readActivationBits(metadata, source),
      metadata: {
        source: metadata.get(FIELDS.source) ?? null,
        sourceSha256: metadata.get(FIELDS.sourceSha256) ?? null,
      },
    });
  });
}

/** Errors of the parts a file is made of become errors of the file. */
function rethrown<T>(source: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FileFormatError || !(error instanceof DSConvError)) throw error;
    throw new FileFormatError(source, error.message, { cause: error });
  }
}

function field(metadata: ReadonlyMap<string, string>, name: string, source: string): string {
  const value = metadata.get(name);
  if (value === undefined) {
    throw new FileFormatError(source, `the metadata has no '${name}'; expected one`);
  }
  return value;
}

function object(value: Json | undefined, what: string, source: string): JsonObject {
  if (value instanceof Map) return value;
  throw new FileFormatError(source, `'${what}' is ${describe(value)}; expected an object`);
}

function readArchitecture(metadata: ReadonlyMap<string, string>, source: string): Architecture {
  const text = field(metadata, FIELDS.architecture, source);
  const config = parseObject(text, 'the architecture', source);
  const name = config.get('name');
  if (typeof name !== 'string') {
    throw new FileFormatError(source, `the architecture's name is ${describe(name)}; expected a string`);
  }
  const size = (key: string): number => {
    const value = config.get(key);
    if (typeof value === 'number') return value;
    throw new FileFormatError(source, `the architecture's ${key} is ${describe(value)}; expected a number`);
  };
  return createArchitecture({
    name,
    inputSize: size('inputSize'),
    channels: size('channels'),
    classes: size('classes'),
  });
}

function checkLayerNames(layers: JsonObject, architecture: Architecture, source: string): void {
  const known = new Set(architecture.layers.map(({ name }) => name));
  for (const name of layers.keys()) {
    if (!known.has(name)) {
      throw new FileFormatError(
        source,
        `the list of layers has '${shorten(name)}'; expected only layers of ${architecture.name}`,
      );
    }
  }
}

/** Takes a part of a layer and checks its dtype and shape; null when an optional part is absent. */
type Take = {
  (part: string, dtypes: readonly Dtype[], shape: readonly number[]): SafeTensor;
  (part: string, dtypes: readonly Dtype[], shape: readonly number[], optional: true): SafeTensor | null;
};

function tensorTaker(file: SafeTensors, layer: string, taken: Set<string>, source: string): Take {
  const take = (part: string, dtypes: readonly Dtype[], shape: readonly number[], optional = false) => {
    const name = `${layer}.${part}`;
    const tensor = file.tensors.get(name);
    if (!tensor) {
      if (optional) return null;
      throw new FileFormatError(
        source,
        `tensor '${name}' is missing; expected ${dtypes[0]} of shape [${shape}]`,
      );
    }
    if (!dtypes.includes(tensor.dtype) || tensor.shape.join() !== shape.join()) {
      throw new FileFormatError(
        source,
        `tensor '${name}' is ${tensor.dtype} of shape [${shorten(tensor.shape.join())}]; expected ${dtypes.join(' or ')} of shape [${shape}]`,
      );
    }
    taken.add(name);
    return tensor;
  };
  return take as Take;
}

function readLayer(layer: LayerSpec, described: JsonObject, take: Take, source: string): LayerWeights {
  const { name, shape, kind } = layer;
  const foundShape = described.get('shape');
  const sameShape = Array.isArray(foundShape) && foundShape.join() === shape.join();
  if (described.get('kind') !== kind || !sameShape) {
    throw new FileFormatError(
      source,
      `layer '${name}' is ${describe(described.get('kind'))} of shape ${describe(foundShape)}; expected "${kind}" of shape [${shape}]`,
    );
  }
  const bias = take('bias', ['F32'], [outChannels(layer)], true)?.data ?? null;
  if (bias) checkFinite(bias, `${name}.bias`, source);
  if (described.has('bits')) {
    const filter = readFilter(layer, described, take, source);
    const snrDb = described.get('snrDb');
    return { filter, bias: bias as Float32Array | null, snrDb: typeof snrDb === 'number' ? snrDb : null };
  }
  const filter = take('weight', ['F32'], shape).data as Float32Array;
  checkFinite(filter, `${name}.weight`, source);
  return { filter, bias: bias as Float32Array | null };
}

function readFilter(layer: LayerSpec, described: JsonObject, take: Take, source: string): DSConvFilter {
  const { name, shape } = layer;
  const bits = integer(described, 'bits', name, 2, 8, source);
  const blockSize = integer(described, 'blockSize', name, 1, 2 ** 24, source);
  const blocks = Math.ceil(shape[2] / blockSize);
  const weights = shape[0] * shape[1] * shape[2] * shape[3];
  const vqk = take('vqk', ['U8'], [Math.ceil((weights * bits) / 8)]).data as Uint8Array;
  const shifters: Partial<Record<(typeof SHIFTER_NAMES)[number], StoredScales>> = {};
  for (const part of SHIFTER_NAMES) {
    const wanted = part.startsWith('kds') ? [shape[0], shape[1], blocks, shape[3]] : [outChannels(layer)];
    const tensor = take(part, ['F16', 'F32'], wanted, true);
    if (!tensor) continue;
    shifters[part] =
      tensor.dtype === 'F16'
        ? { format: 'float16', data: tensor.data as Uint16Array }
        : { format: 'float32', data: tensor.data as Float32Array };
  }
  try {
    const kind = layer.kind === 'depthwise' ? 'depthwise' : 'conv2d';
    return new DSConvFilter({ kind, shape, bits, blockSize, vqk, ...shifters });
  } catch (error) {
    if (!(error instanceof DSConvError)) throw error;
    throw new FileFormatError(source, `layer '${name}': ${error.message}`, { cause: error });
  }
}

function integer(
  described: JsonObject,
  key: string,
  layer: string,
  low: number,
  high: number,
  source: string,
): number {
  const value = described.get(key);
  if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) return value;
  throw new FileFormatError(
    source,
    `layer '${layer}' has ${key} ${describe(value)}; expected an integer from ${low} to ${high}`,
  );
}

function checkFinite(values: TensorData, name: string, source: string): void {
  const bad = (values as Float32Array).findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new FileFormatError(source, `'${name}'[${bad}] is ${values[bad]}; expected a finite number`);
  }
}

function readActivationBits(metadata: ReadonlyMap<string, string>, source: string): number | null {
  const text = field(metadata, FIELDS.activationBits, source);
  if (text === 'null') return null;
  if (/^[2-8]$/.test(text)) return Number(text);
  throw new FileFormatError(
    source,
    `${FIELDS.activationBits} is '${shorten(text)}'; expected '2' to '8' or 'null'`,
  );
}

function readLabels(metadata: ReadonlyMap<string, string>, source: string): string[] {
  const value = parseJsonOf(field(metadata, FIELDS.labels, source), 'the list of labels', source);
  if (Array.isArray(value) && value.every((label) => typeof label === 'string')) return value as string[];
  throw new FileFormatError(source, `the list of labels is ${describe(value)}; expected an array of strings`);
}

function readPreprocessing(metadata: ReadonlyMap<string, string>, source: string): Preprocessing {
  const text = field(metadata, FIELDS.preprocessing, source);
  const spec = parseObject(text, 'the preprocessing', source);
  const resize = object(spec.get('resize'), 'preprocessing.resize', source);
  // checkPreprocessing looks at every field, so what JSON holds may be taken at its word here.
  const preprocessing = {
    size: spec.get('size'),
    channels: spec.get('channels'),
    // Files written before there was a choice do not say.
    ...(spec.has('channelOrder') ? { channelOrder: spec.get('channelOrder') } : {}),
    resize: { mode: resize.get('mode'), cropRatio: resize.get('cropRatio') },
    interpolation: spec.get('interpolation'),
    antialias: spec.get('antialias'),
    range: spec.get('range'),
    mean: spec.get('mean'),
    std: spec.get('std'),
  } as unknown as Preprocessing;
  checkPreprocessing(preprocessing);
  return preprocessing;
}
