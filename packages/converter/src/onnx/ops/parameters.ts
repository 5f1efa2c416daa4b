/** What operators are told by attributes in one version and by inputs in another, resolved against the shape they work on. */
import { elementCount } from '../../graph/stored-weights.js';
import type { NodeContext } from '../node-context.js';

/** One axis of a slice: elements `start`, `start + step`, …, of which there are `count`. */
export interface SliceRange {
  start: number;
  step: number;
  count: number;
}

/** The ranges of a Slice, one for every axis. */
export function sliceRanges(node: NodeContext, shape: readonly number[]): SliceRange[] {
  const asInputs = node.opset >= 10;
  const list = (n: number, name: string): readonly number[] | null => {
    if (!asInputs) return node.proto.attributes.get(name)?.integers ?? null;
    return node.optional(n) ? [...node.constant(n, `its ${name}`).data] : null;
  };
  const starts = list(1, 'starts') ?? node.fail('has no starts; expected a list');
  const ends = list(2, 'ends') ?? node.fail('has no ends; expected a list');
  const axes = list(3, 'axes') ?? starts.map((_, n) => n);
  const steps = (asInputs ? list(4, 'steps') : null) ?? starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    node.fail(
      `has ${starts.length} starts, ${ends.length} ends, ${axes.length} axes, ${steps.length} steps; expected as many of each`,
    );
  }
  const ranges = shape.map((size): SliceRange => ({ start: 0, step: 1, count: size }));
  for (const [n, given] of axes.entries()) {
    const axis = node.axis(given, shape.length);
    const size = shape[axis]!;
    const step = steps[n]!;
    if (!Number.isSafeInteger(step) || step === 0)
      node.fail(`has the step ${step}; expected an integer but 0`);
    const counted = (at: number): number => (at < 0 ? at + size : at);
    const clamp = (at: number, least: number, most: number): number => Math.min(Math.max(at, least), most);
    const [least, most] = step > 0 ? [0, size] : [-1, size - 1];
    const start = clamp(counted(starts[n]!), step > 0 ? 0 : 0, most);
    const end = clamp(counted(ends[n]!), least, most);
    ranges[axis] = { start, step, count: Math.max(0, Math.ceil((end - start) / step)) };
  }
  return ranges;
}

/** The shape that a Reshape gives: 0 keeps a size, -1 takes what is left. */
export function reshapeTarget(node: NodeContext, shape: readonly number[]): number[] {
  const wanted = [...node.constant(1, 'its shape').data];
  const keepsZero = node.int('allowzero', 0) === 0;
  const target = wanted.map((size, n) => {
    if (size !== 0 || !keepsZero) return size;
    return (
      shape[n] ??
      node.fail(`keeps size ${n} of [${node.builder.describe(shape)}]; expected a size that is there`)
    );
  });
  return inferSize(node, shape, target);
}

/** Replaces one -1 by what is left, and checks that the number of elements stays. */
export function inferSize(node: NodeContext, shape: readonly number[], target: readonly number[]): number[] {
  const count = elementCount(shape);
  const rest = elementCount(target.filter((size) => size !== -1));
  const inferred = target.map((size) => (size === -1 ? count / rest : size));
  const fits =
    target.filter((size) => size === -1).length <= 1 &&
    inferred.every((size) => Number.isSafeInteger(size) && size >= 0) &&
    elementCount(inferred) === count;
  if (fits) return inferred;
  const problem = `reshapes [${node.builder.describe(shape)}] to [${node.builder.describe(target)}]; expected as many elements`;
  return node.builder.isOpen(count) ? node.failOpen(problem) : node.fail(problem);
}

/** The shape after Squeeze or Unsqueeze. */
export function squeezed(node: NodeContext, shape: readonly number[]): number[] {
  const axes = node.axes(1, 13)?.map((axis) => node.axis(axis, shape.length));
  const gone = new Set(axes ?? shape.flatMap((size, n) => (size === 1 ? [n] : [])));
  for (const axis of gone) {
    if (shape[axis] !== 1) {
      node.fail(`squeezes axis ${axis} of [${node.builder.describe(shape)}]; expected one of length 1`);
    }
  }
  return shape.filter((_, n) => !gone.has(n));
}

export function unsqueezed(node: NodeContext, shape: readonly number[]): number[] {
  const given = node.axes(1, 13) ?? node.fail('has no axes; expected a list');
  const rank = shape.length + given.length;
  const axes = new Set(given.map((axis) => node.axis(axis, rank)));
  if (axes.size !== given.length) node.fail(`has the axes [${given}]; expected each once`);
  const rest = [...shape];
  return Array.from({ length: rank }, (_, n) => (axes.has(n) ? 1 : rest.shift()!));
}

/** The two sizes of a Flatten. */
export function flattened(node: NodeContext, shape: readonly number[]): number[] {
  const given = node.int('axis', 1);
  const axis = given === shape.length ? given : node.axis(given, shape.length);
  return [elementCount(shape.slice(0, axis)), elementCount(shape.slice(axis))];
}

/** The axes of a reduction, sorted; null where nothing is reduced. */
export function reducedAxes(node: NodeContext, rank: number, since: number): number[] | null {
  const given = node.axes(1, since);
  if (!given || given.length === 0) {
    return node.opset >= since && node.int('noop_with_empty_axes', 0) === 1
      ? null
      : Array.from({ length: rank }, (_, n) => n);
  }
  return [...new Set(given.map((axis) => node.axis(axis, rank)))].sort((a, b) => a - b);
}

/** In which version the axes of a reduction became an input. */
export const axesSince = (op: string): number => (op === 'ReduceSum' ? 13 : 18);

/** How long the parts of a Split are. */
export function splitSizes(node: NodeContext, size: number): number[] {
  const outputs = node.proto.outputs.length;
  const given =
    node.opset < 13
      ? node.proto.attributes.get('split')?.integers
      : node.optional(1)
        ? [...node.constant(1, 'its split').data]
        : undefined;
  if (given) {
    if (
      given.length !== outputs ||
      given.some((part) => part < 0) ||
      given.reduce((a, b) => a + b, 0) !== size
    ) {
      node.fail(`splits ${size} into [${given.slice(0, 20)}]; expected ${outputs} parts of that sum`);
    }
    return [...given];
  }
  const parts = node.opset >= 18 ? node.int('num_outputs', outputs) : outputs;
  if (parts !== outputs) node.fail(`has num_outputs ${parts}; expected its ${outputs} outputs`);
  const each = Math.ceil(size / parts);
  const last = size - each * (parts - 1);
  if (last <= 0 || (node.opset < 18 && last !== each)) {
    node.fail(`splits ${size} into ${parts}; expected equal parts`);
  }
  return [...new Array<number>(parts - 1).fill(each), last];
}
