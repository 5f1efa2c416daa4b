/** The topology of a LayersModel: containers of layers, nested ones included, and what reads what. */
import { FileFormatError, nearest } from '@dsconv/models';
import { isRecord, type JsonRecord, text } from '../json-values.js';
import { LayerError } from './layer-error.js';
import { sortLayers } from './traverse-layers.js';

/** An output of a call of a layer. */
export interface LayerReference {
  layer: string;
  /** Which of the layer's calls. */
  call: number;
  /** Which of the call's outputs. */
  output: number;
}

export interface Layer {
  name: string;
  className: string;
  config: JsonRecord;
  /** The entry of the list of layers that it was read from; everything not known here is written back. */
  json: JsonRecord;
  /** What every call reads. In a Sequential one call of the layer before, or none for the first. */
  calls: LayerReference[][];
  /** The layers inside, where the layer is a model. */
  nested: Container | null;
}

/** A model: the whole, or one that is a layer of another. */
export interface Container {
  kind: 'sequential' | 'functional';
  /** In the order of the file. */
  layers: Layer[];
  /** Layers whose outputs are the model's. */
  outputs: Set<string>;
  /** `config` of the model. */
  json: unknown;
}

/** Class names of models. */
const MODELS = ['Model', 'Functional', 'Sequential'];

/** Models in models in models: nobody nests them deeper. */
const DEEPEST = 20;

/** The part of a model.json that holds class and configuration of the model; it stands at different depths in files of different writers. */
export function modelConfigOf(topology: JsonRecord): JsonRecord {
  return isRecord(topology.model_config) ? topology.model_config : topology;
}

/**
 * @param topology `modelTopology` of a model.json
 * @throws FileFormatError, LayerError when it is malformed, an input names no layer (with the nearest names), or layers read each other in a circle
 */
export function readTopology(topology: JsonRecord, file: string): Container {
  const { class_name, config } = modelConfigOf(topology);
  if (typeof class_name !== 'string' || !MODELS.includes(class_name)) {
    throw new FileFormatError(
      file,
      `the topology's class_name is ${text(class_name)}; expected one of ${MODELS.join(', ')}`,
    );
  }
  return readContainer(class_name, config, file, 0);
}

function readContainer(className: string, config: unknown, file: string, depth: number): Container {
  if (depth > DEEPEST) throw new FileFormatError(file, 'nests models too deep; expected a few levels');
  const list = isRecord(config) ? config.layers : config;
  if (!Array.isArray(list) || list.length === 0) {
    throw new FileFormatError(file, `a model's list of layers is ${text(list)}; expected an array of layers`);
  }
  const kind = className === 'Sequential' ? 'sequential' : 'functional';
  const layers = list.map((entry, n) => readLayer(entry, n, kind, file, depth));
  const names = new Set<string>();
  for (const layer of layers) {
    if (names.has(layer.name)) {
      throw new LayerError(file, layer, 'has the name of another layer; expected one of its own');
    }
    names.add(layer.name);
  }
  if (kind === 'sequential') {
    for (const [n, layer] of layers.entries()) {
      layer.calls = [n === 0 ? [] : [{ layer: layers[n - 1]!.name, call: 0, output: 0 }]];
    }
  }
  const outputs =
    kind === 'sequential'
      ? [layers.at(-1)!.name]
      : endpoints((config as JsonRecord).output_layers, 'output_layers', names, file);
  const container: Container = { kind, layers, outputs: new Set(outputs), json: config };
  for (const layer of layers) checkReferences(layer, names, file);
  sortLayers(container, file);
  return container;
}

function readLayer(entry: unknown, n: number, kind: Container['kind'], file: string, depth: number): Layer {
  const { class_name: className, config, inbound_nodes } = isRecord(entry) ? entry : ({} as JsonRecord);
  if (typeof className !== 'string' || (!isRecord(config) && !Array.isArray(config))) {
    throw new FileFormatError(file, `layer ${n} is ${text(entry)}; expected class_name and config`);
  }
  const json = entry as JsonRecord;
  // An old Sequential's config is its list of layers, which has no name.
  const name = json.name ?? (isRecord(config) ? config.name : `sequential_${n}`);
  if (typeof name !== 'string' || name === '') {
    throw new FileFormatError(
      file,
      `layer ${n} (${className}) has the name ${text(name)}; expected a string`,
    );
  }
  const layer: Layer = {
    name,
    className,
    config: isRecord(config) ? config : {},
    json,
    calls: [],
    nested: MODELS.includes(className) ? readContainer(className, config, file, depth + 1) : null,
  };
  if (kind === 'functional') layer.calls = readCalls(layer, inbound_nodes, file);
  return layer;
}

/** `[[[name, call, output, arguments], …], …]`: for each call a list of references; operators wrapped as layers leave the inner list out. */
function readCalls(layer: Layer, nodes: unknown, file: string): LayerReference[][] {
  if (nodes === undefined) return [];
  if (!Array.isArray(nodes)) {
    throw new LayerError(file, layer, `has inbound_nodes ${text(nodes)}; expected an array of calls`);
  }
  return nodes.map((node: unknown) => {
    const entries = Array.isArray(node) && typeof node[0] === 'string' ? [node] : node;
    if (!Array.isArray(entries)) {
      throw new LayerError(file, layer, `has the call ${text(node)}; expected an array of inputs`);
    }
    return entries.flatMap((part) => readInputs(layer, part, file));
  });
}

/** An input and what its arguments refer to. */
function readInputs(layer: Layer, part: unknown, file: string): LayerReference[] {
  const [name, call = 0, output = 0, more] = Array.isArray(part) ? part : [];
  if (typeof name !== 'string' || !isIndex(call) || !isIndex(output)) {
    throw new LayerError(file, layer, `reads ${text(part)}; expected the name of a layer and two numbers`);
  }
  return [{ layer: name, call, output }, ...referencesIn(more)];
}

function referencesIn(args: unknown): LayerReference[] {
  if (!isRecord(args)) return [];
  return Object.values(args).flatMap((value) => {
    if (!Array.isArray(value)) return [];
    const [layer, call, output] = value;
    return value.length >= 3 && typeof layer === 'string' && isIndex(call) && isIndex(output)
      ? [{ layer, call, output }]
      : [];
  });
}

const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** `[[name, call, output], …]`, or one such triple. */
function endpoints(value: unknown, field: string, names: ReadonlySet<string>, file: string): string[] {
  const list = Array.isArray(value) && typeof value[0] === 'string' ? [value] : value;
  if (!Array.isArray(list) || list.length === 0) {
    throw new FileFormatError(file, `the model's ${field} is ${text(value)}; expected an array of layers`);
  }
  return list.map((entry: unknown) => {
    const name = Array.isArray(entry) ? entry[0] : undefined;
    if (typeof name === 'string' && names.has(name)) return name;
    throw new FileFormatError(
      file,
      `the model's ${field} has ${text(entry)}, which is no layer${similar(name, names)}`,
    );
  });
}

function checkReferences(layer: Layer, names: ReadonlySet<string>, file: string): void {
  for (const reference of layer.calls.flat()) {
    if (names.has(reference.layer)) continue;
    throw new LayerError(
      file,
      layer,
      `reads '${reference.layer}', which no layer is called${similar(reference.layer, names)}`,
    );
  }
}

function similar(name: unknown, names: Iterable<string>): string {
  const found = typeof name === 'string' ? nearest(name, names).map((other) => `'${other}'`) : [];
  return found.length > 0 ? `; the nearest names are ${found.join(', ')}` : '';
}
