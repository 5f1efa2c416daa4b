/** Operators that take values apart and put them together. Axes are looked up in the order in which a value lies. */
import { intAttribute, typeAttribute } from '../../graph/attributes.js';
import { TYPED } from '../builder.js';
import { concatShape } from '../fold/shapes.js';
import { permute } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value } from '../value.js';
import { leadingOrder } from './element-wise.js';
import { type SliceRange, sliceRanges, splitSizes } from './parameters.js';

const concat: Translate = (node) => {
  const values = node.inputs();
  const [first] = values as [Value];
  const axis = node.axis(node.int('axis', 1), first.shape.length);
  if (values.some(({ shape }) => shape.length !== first.shape.length)) {
    node.fail('joins values of different numbers of dimensions; expected the same');
  }
  const shape = concatShape(
    node,
    values.map((value) => value.shape),
    axis,
  );
  if (values.length === 1) return { ...first, name: node.name };
  return concatenated(node, values, axis, shape);
};

/** Values of equal shapes but for one axis. */
export function concatenated(
  node: NodeContext,
  values: readonly Value[],
  axis: number,
  shape: readonly number[],
): Value {
  const { builder } = node;
  const order = leadingOrder(values, shape);
  const references = values.map((value) => builder.lay(value, order));
  const place = builder.scalar(order.indexOf(axis), 'int');
  const attr = { ...TYPED, N: intAttribute(references.length) };
  const [{ dtype }] = values as [Value];
  return computed(node.name, builder.emit('ConcatV2', [...references, place], attr), shape, order, {
    dtype,
    nonNegative: values.every((value) => value.nonNegative),
  });
}

const split: Translate = (node) => {
  const x = node.input(0);
  const { builder } = node;
  const axis = node.axis(node.int('axis', 0), x.shape.length);
  const sizes = splitSizes(node, x.shape[axis]!);
  const place = builder.scalar(x.order.indexOf(axis), 'int');
  const input = builder.lay(x, x.order);
  const isEqual = sizes.every((size) => size === sizes[0]);
  const reference = isEqual
    ? builder.emit('Split', [place, input], { ...TYPED, num_split: intAttribute(sizes.length) })
    : builder.emit('SplitV', [input, builder.vector(builder.sizes(sizes)), place], TYPED);
  const { dtype, nonNegative, quantized } = x;
  return sizes.map((size, n) => {
    const shape = x.shape.map((old, a) => (a === axis ? size : old));
    const output = n === 0 ? reference : `${reference}:${n}`;
    return computed(node.proto.outputs[n] ?? '', output, shape, x.order, { dtype, nonNegative, quantized });
  });
};

const slice: Translate = (node) => sliced(node, node.input(0), sliceRanges(node, node.input(0).shape));

/** The elements that ranges take, one range for every axis of ONNX's order. */
export function sliced(node: NodeContext, x: Value, ranges: readonly SliceRange[]): Value {
  const { builder } = node;
  const shape = ranges.map(({ count }) => count);
  const isWhole = ({ start, step, count }: SliceRange, axis: number): boolean =>
    start === 0 && step === 1 && count === x.shape[axis];
  if (ranges.every(isWhole)) return { ...x, name: node.name };
  if (ranges.some((range, axis) => builder.isOpen(x.shape[axis]!) && !isWhole(range, axis))) {
    node.failOpen('takes some of the pictures of a batch');
  }
  const laid = permute(
    ranges.map((range, axis) => ({ ...range, whole: isWhole(range, axis) })),
    x.order,
  );
  const input = builder.lay(x, x.order);
  const { dtype, nonNegative, quantized } = x;
  const done = (reference: string): Value =>
    computed(node.name, reference, shape, x.order, { dtype, nonNegative, quantized });
  const index = { ...TYPED, Index: typeAttribute('DT_INT32') };
  if (laid.every(({ step }) => step === 1)) {
    const begin = builder.vector(laid.map(({ start }) => start));
    const size = builder.vector(laid.map(({ count, whole }) => (whole ? -1 : count)));
    return done(builder.emit('Slice', [input, begin, size], index));
  }
  // A mask's bit says that the axis begins or ends where the value does.
  const mask = (is: (range: (typeof laid)[number]) => boolean): number =>
    laid.reduce((bits, range, n) => bits | (is(range) ? 1 << n : 0), 0);
  const ends = laid.map(({ start, step, count }) => start + step * count);
  const references = [
    laid.map(({ start, whole }) => (whole ? 0 : start)),
    laid.map(({ whole }, n) => (whole || ends[n]! < 0 ? 0 : ends[n]!)),
    laid.map(({ step }) => step),
  ].map((list) => builder.vector(list));
  const attr = {
    ...index,
    begin_mask: intAttribute(mask(({ whole }) => whole)),
    end_mask: intAttribute(mask(({ whole, start, step, count }) => whole || start + step * count < 0)),
    ellipsis_mask: intAttribute(0),
    new_axis_mask: intAttribute(0),
    shrink_axis_mask: intAttribute(0),
  };
  return done(builder.emit('StridedSlice', [input, ...references], attr));
}

export const SLICE_JOIN = {
  Concat: concat,
  Slice: slice,
  Split: split,
} satisfies Record<string, Translate>;
