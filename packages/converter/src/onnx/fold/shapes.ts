/** Operators that move known numbers or make them: what exporters calculate shapes with. */
import { elementCount } from '../../graph/stored-weights.js';
import {
  broadcastShape,
  broadcastTo,
  type Constant,
  dataOf,
  floats,
  gatherStrided,
  ints,
  stridesOf,
  transposed,
} from '../constant.js';
import type { NodeContext } from '../node-context.js';
import {
  axesSince,
  flattened,
  reducedAxes,
  reshapeTarget,
  sliceRanges,
  splitSizes,
  squeezed,
  unsqueezed,
} from '../ops/parameters.js';
import { readTensor } from '../read-tensor.js';
import type { Fold } from './arithmetic.js';
import { checkCount } from './limits.js';

const constant: Fold = (node) => {
  const { attributes } = node.proto;
  const [tensor, number, integer, numbers, integers] = [
    'value',
    'value_float',
    'value_int',
    'value_floats',
    'value_ints',
  ].map((name) => attributes.get(name));
  if (tensor?.tensor) {
    const read = readTensor(tensor.tensor);
    return [typeof read === 'string' ? node.fail(`has a value that ${read}`) : read];
  }
  if (number) return [floats([], [number.float ?? 0])];
  if (integer) return [ints([], [integer.integer ?? 0])];
  if (numbers) return [floats([numbers.floats.length], numbers.floats)];
  if (integers) return [ints([integers.integers.length], integers.integers)];
  return node.fail('has no value of numbers; expected value, value_float or value_int');
};

const constantOfShape: Fold = (node, [shape]) => {
  const sizes = [...shape!.data];
  const tensor = node.proto.attributes.get('value')?.tensor;
  const read = tensor ? readTensor(tensor) : floats([1], [0]);
  if (typeof read === 'string') return node.fail(`has a value that ${read}`);
  checkCount(node, sizes, read.kind);
  return [broadcastTo({ ...read, shape: [1] }, [1, ...sizes])].map((made) => ({ ...made, shape: sizes }));
};

const reshape =
  (target: (node: NodeContext, shape: readonly number[]) => number[]): Fold =>
  (node, [x]) => [{ ...x!, shape: target(node, x!.shape) }];

const transpose: Fold = (node, [x]) => {
  const rank = x!.shape.length;
  return [transposed(x!, permutation(node, rank))];
};

/** The permutation of a Transpose; by default all axes the other way round. */
export function permutation(node: NodeContext, rank: number): number[] {
  const reversed = Array.from({ length: rank }, (_, n) => rank - 1 - n);
  const perm = node.ints('perm', reversed, rank).map((axis) => node.axis(axis, rank));
  if (new Set(perm).size !== rank) node.fail(`has perm [${perm}]; expected every axis once`);
  return perm;
}

const slice: Fold = (node, [x]) => {
  const ranges = sliceRanges(node, x!.shape);
  const strides = stridesOf(x!.shape);
  const shape = ranges.map(({ count }) => count);
  const steps = ranges.map(({ step }, n) => step * strides[n]!);
  const offset = ranges.reduce((sum, { start }, n) => sum + start * strides[n]!, 0);
  return [{ kind: x!.kind, shape, data: gatherStrided(x!, shape, steps, offset) }];
};

const gather: Fold = (node, [x, indices]) => {
  const axis = node.axis(node.int('axis', 0), x!.shape.length);
  const size = x!.shape[axis] ?? 0;
  const inner = elementCount(x!.shape.slice(axis + 1));
  const outer = elementCount(x!.shape.slice(0, axis));
  const shape = [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)];
  checkCount(node, shape, x!.kind);
  const data = dataOf(x!.kind, elementCount(shape));
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const index of indices!.data) {
      const from = index < 0 ? index + size : index;
      if (!(from >= 0 && from < size))
        node.fail(`gathers element ${index} of ${size}; expected one that is there`);
      const start = (o * size + from) * inner;
      data.set(x!.data.subarray(start, start + inner), at);
      at += inner;
    }
  }
  return [{ kind: x!.kind, shape, data }];
};

const concat: Fold = (node, parts) => {
  const [first] = parts as [Constant];
  const axis = node.axis(node.int('axis', 1), first.shape.length);
  const shape = concatShape(
    node,
    parts.map((part) => part.shape),
    axis,
  );
  checkCount(node, shape, first.kind);
  const data = dataOf(first.kind, elementCount(shape));
  const outer = elementCount(shape.slice(0, axis));
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const part of parts) {
      const run = part.data.length / outer;
      data.set(part.data.subarray(o * run, (o + 1) * run), at);
      at += run;
    }
  }
  return [{ kind: first.kind, shape, data }];
};

/** @throws NodeError when shapes differ elsewhere than along the axis */
export function concatShape(
  node: NodeContext,
  shapes: readonly (readonly number[])[],
  axis: number,
): number[] {
  const [first] = shapes;
  const rest = (shape: readonly number[]): string => shape.map((size, n) => (n === axis ? '*' : size)).join();
  const other = shapes.find((shape) => rest(shape) !== rest(first!));
  if (other) node.fail(`joins [${first}] and [${other}] along axis ${axis}; expected equal sizes elsewhere`);
  const sum = shapes.reduce((total, shape) => total + shape[axis]!, 0);
  return first!.map((size, n) => (n === axis ? sum : size));
}

const expand: Fold = (node, [x, wanted]) => {
  const shape = broadcastShape(x!.shape, [...wanted!.data]);
  if (!shape)
    return node.fail(`expands [${x!.shape}] to [${[...wanted!.data]}]; expected a shape it broadcasts to`);
  checkCount(node, shape, x!.kind);
  return [broadcastTo(x!, shape)];
};

const range: Fold = (node, [start, limit, delta]) => {
  const [from, to, step] = [start!.data[0]!, limit!.data[0]!, delta!.data[0]!];
  const count = Math.max(0, Math.ceil((to - from) / step));
  checkCount(node, [count], start!.kind);
  const data = dataOf(start!.kind, count);
  for (let n = 0; n < count; n++) data[n] = from + n * step;
  return [{ kind: start!.kind, shape: [count], data }];
};

const split: Fold = (node, [x]) => {
  const axis = node.axis(node.int('axis', 0), x!.shape.length);
  const strides = stridesOf(x!.shape);
  let start = 0;
  return splitSizes(node, x!.shape[axis]!).map((size) => {
    const shape = x!.shape.map((old, n) => (n === axis ? size : old));
    const data = gatherStrided(x!, shape, strides, start * strides[axis]!);
    start += size;
    return { kind: x!.kind, shape, data };
  });
};

/** Reductions over all axes, or over one of a list. */
const reduce =
  (compute: (a: number, b: number) => number): Fold =>
  (node, [x]) => {
    const rank = x!.shape.length;
    const axes = reducedAxes(node, rank, axesSince(node.proto.op));
    if (axes?.length !== rank || x!.data.length === 0) return null;
    const shape = node.int('keepdims', 1) === 1 ? x!.shape.map(() => 1) : [];
    const total = Array.from(x!.data).reduce(compute);
    return [{ kind: x!.kind, shape, data: dataOf(x!.kind, 1).fill(total) }];
  };

export const SHAPES: Readonly<Record<string, Fold>> = {
  Concat: concat,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Expand: expand,
  Flatten: reshape(flattened),
  Gather: gather,
  Identity: (_, [x]) => [x!],
  Range: range,
  ReduceMax: reduce(Math.max),
  ReduceMin: reduce(Math.min),
  ReduceProd: reduce((a, b) => a * b),
  ReduceSum: reduce((a, b) => a + b),
  Reshape: reshape(reshapeTarget),
  Slice: slice,
  Split: split,
  Squeeze: reshape(squeezed),
  Transpose: transpose,
  Unsqueeze: reshape(unsqueezed),
};
