/** Inputs of an ONNX graph: their shapes, and what stands for an open batch. */
import { InvalidArgumentError } from '@dsconv/core';
import { FileFormatError, nearest } from '@dsconv/models';
import { typeAttribute } from '../graph/attributes.js';
import type { GraphBuilder } from './builder.js';
import { permute } from './layout.js';
import type { ModelProto, ValueInfoProto } from './proto.js';
import { typeName, typeOf } from './read-tensor.js';
import { type ImportOptions, nodeName, orderOf, portOf, type Signature } from './signature.js';
import { computed, type Value, type ValueType } from './value.js';

/** One of them divides no size of the file: then every multiple of it comes from the batch. */
const PRIMES = [1_000_003, 1_000_033, 1_000_037, 1_000_039];

/** Inputs that are no weights; files of older versions list those too. */
function inputsOf({ inputs, initializers }: ModelProto): ValueInfoProto[] {
  const weights = new Set(initializers.map(({ name }) => name));
  return inputs.filter(({ name }) => !weights.has(name));
}

const isOpen = (size: number | string | undefined): boolean => typeof size === 'string' || !(size! > 0);

/** @returns the number that stands for an open batch, or null where no batch is open */
export function chooseBatch(
  model: ModelProto,
  file: string,
  { inputShapes }: ImportOptions,
  fixBatch: number | null,
): number | null {
  const open = inputsOf(model).filter(({ shape }) => shape && shape.length > 0 && isOpen(shape[0]));
  if (fixBatch !== null || open.length === 0) return null;
  const names = new Set(open.map(({ shape }) => String(shape![0])));
  if (names.size > 1 && !open.every(({ name }) => inputShapes?.[name])) {
    throw new InvalidArgumentError(
      `${file}: the first sizes of the inputs are open and differ (${[...names].join(', ')}); expected sizes in inputShapes for each input`,
    );
  }
  if (names.size > 1) return null;
  const sizes = [
    ...model.initializers.flatMap(({ dims, integers }) => [...dims, ...integers.slice(0, 64)]),
    ...model.nodes.flatMap(({ attributes }) => [...attributes.values()].flatMap(({ integers }) => integers)),
    ...model.inputs.flatMap(({ shape }) => (shape ?? []).filter((size) => typeof size === 'number')),
  ];
  const prime = PRIMES.find((candidate) => sizes.every((size) => size === 0 || size % candidate !== 0));
  if (prime === undefined) {
    throw new FileFormatError(
      file,
      `has sizes above ${PRIMES[0]} of every kind; expected those of a network`,
    );
  }
  return prime;
}

/** Adds a placeholder for every input. @throws InvalidArgumentError when a size is open and none is given */
export function addInputs(
  model: ModelProto,
  file: string,
  builder: GraphBuilder,
  values: Map<string, Value>,
  options: ImportOptions,
  fixBatch: number | null,
): Signature {
  const signature: Signature = { inputs: {}, outputs: {} };
  const inputs = inputsOf(model);
  checkGiven(inputs, file, options);
  const nodes = new Set<string>();
  for (const { name } of [...inputs, ...model.outputs]) {
    builder.reserved.add(name).add(nodeName(name, nodes));
  }
  for (const info of inputs) {
    const dtype = inputType(info, file);
    const shape = inputShape(info, file, builder, options, fixBatch);
    const order = orderOf(shape, options.inputLayout);
    const node = nodeName(info.name, nodes);
    nodes.add(node);
    const port = portOf(node, dtype, builder.sizes(permute(shape, order)));
    builder.graph.add({
      name: node,
      op: 'Placeholder',
      inputs: [],
      attr: { dtype: typeAttribute(port.dtype), shape: { shape: port.tensorShape } },
    });
    if (values.has(info.name))
      throw new FileFormatError(file, `input '${info.name}' is there twice; expected it once`);
    values.set(info.name, computed(info.name, node, shape, order, { dtype }));
    signature.inputs[info.name] = port;
  }
  return signature;
}

function checkGiven(inputs: readonly ValueInfoProto[], file: string, { inputShapes }: ImportOptions): void {
  const names = inputs.map(({ name }) => name);
  for (const name of Object.keys(inputShapes ?? {})) {
    if (names.includes(name)) continue;
    throw new InvalidArgumentError(
      `${file}: inputShapes has '${name}', which is no input of the model; expected ${nearest(name, names).join(', ') || 'none'}`,
    );
  }
}

function inputType({ name, type }: ValueInfoProto, file: string): ValueType {
  const found = type === null ? null : typeOf(type);
  if (!found) {
    const what = type === null ? 'no tensor' : `of type ${typeName(type)}`;
    throw new FileFormatError(file, `input '${name}' is ${what}; expected floats, integers or booleans`);
  }
  return ({ float: 'float32', int: 'int32', bool: 'bool' } as const)[found.kind];
}

function inputShape(
  { name, shape }: ValueInfoProto,
  file: string,
  builder: GraphBuilder,
  { inputShapes, inputLayout }: ImportOptions,
  fixBatch: number | null,
): number[] {
  const given = inputShapes?.[name];
  const stated = shape?.map((size) => (isOpen(size) ? null : (size as number)));
  const describe = stated?.map((size, n) => size ?? (shape![n] || '?'));
  if (given && stated && given.length !== stated.length) {
    throw new InvalidArgumentError(`${file}: input '${name}' is given as [${given}]; expected [${describe}]`);
  }
  // What is given is in the order of the converted model.
  const order = given && orderOf(given, inputLayout);
  const ordered = given?.map((_, axis) => given[order!.indexOf(axis)]!);
  return (stated ?? (given ?? []).map(() => null)).map((size, n) => {
    if (size !== null) {
      if (ordered && ordered[n] !== size) {
        throw new InvalidArgumentError(
          `${file}: input '${name}' is given as [${given}]; expected [${describe}]`,
        );
      }
      return size;
    }
    if (n === 0 && fixBatch !== null) return ordered?.[0] ?? fixBatch;
    if (n === 0 && builder.batch !== null) return builder.batch;
    const own = ordered?.[n];
    if (own === undefined || !Number.isInteger(own) || own < 1) {
      throw new InvalidArgumentError(
        `${file}: input '${name}' has the open shape [${describe}]; expected its sizes in inputShapes`,
      );
    }
    return own;
  });
}
