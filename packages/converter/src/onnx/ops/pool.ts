/** Poolings. TensorFlow.js's know only its own borders: others become a Pad before, and for averages a factor behind. */
import {
  type Attributes,
  boolAttribute,
  intsAttribute,
  stringAttribute,
  typeAttribute,
} from '../../graph/attributes.js';
import { floats, ints } from '../constant.js';
import { channelsLast, type Order } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value } from '../value.js';
import { reshaped } from './shape.js';
import { isSame, isUnpadded, ofRow, readWindow, type Window } from './window.js';

/** The lowest float: a border of it wins no maximum. */
const LOWEST = -3.4028234663852886e38;

function maxPool(node: NodeContext, { x, window, sizes }: Pooling): Value {
  if (node.isRead(1)) node.fail('has its indices read; expected the maxima only');
  const [input, padding] = bordered(node, x, window, sizes, x.nonNegative ? 0 : LOWEST);
  return pooled(node, 'MaxPool', input, padding, x, window);
}

function averagePool(node: NodeContext, { x, window, sizes }: Pooling): Value {
  const countsBorder = node.int('count_include_pad', 0) === 1;
  const padsOnly = [...window.begin, ...window.end].some((n) => n > 0);
  const same = isSame(window, sizes) && !(countsBorder && padsOnly);
  const [input, padding] = bordered(node, x, window, sizes, 0, same);
  const made = pooled(node, 'AvgPool', input, padding, x, window);
  if (same || isUnpadded(window)) return made;
  const factors = correction(window, sizes, countsBorder);
  if (factors.every((factor) => factor === 1)) return made;
  const { builder } = node;
  const factor = builder.constant(`${node.name}/factor`, floats([...window.out, 1], factors));
  const corrected = builder.emit('Mul', [builder.lay(made, made.order), factor]);
  return { ...made, forms: new Map([[made.order.join(), corrected]]) };
}

/** Pictures of four dimensions and the window that goes over them. */
interface Pooling {
  x: Value;
  window: Window;
  sizes: readonly number[];
}

/** A pooling of pictures, or of rows, which are pictures of one row. */
const pooling =
  (pool: (node: NodeContext, pooling: Pooling) => Value): Translate =>
  (node) => {
    const given = node.input(0);
    node.rank(given, 3, 4);
    const [batch, channels, ...sizes] = given.shape as [number, number, ...number[]];
    const window = readWindow(node, sizes, node.ints('kernel_shape', [], sizes.length));
    if (window.dilations.some((n) => n !== 1))
      node.fail(`has dilations [${window.dilations}]; expected ones`);
    // A window of border alone has nothing to pool.
    if (window.kernel.some((n, axis) => window.begin[axis]! >= n || window.end[axis]! >= n)) {
      node.fail(
        `has pads [${window.begin},${window.end}] for a window of [${window.kernel}]; expected less than the window`,
      );
    }
    if (sizes.length === 2) return pool(node, { x: given, window, sizes });
    const x = reshaped(node, given, [batch, channels, 1, ...sizes]);
    const row = pool(node, { x, window: ofRow(window), sizes: [1, ...sizes] });
    return reshaped(node, row, [batch, channels, ...window.out]);
  };

/** The input with its border, and the padding that is left to do. */
function bordered(
  { builder }: NodeContext,
  x: Value,
  window: Window,
  sizes: readonly number[],
  value: number,
  same = isSame(window, sizes),
): [string, string] {
  const input = builder.lay(x, channelsLast(4));
  if (isUnpadded(window)) return [input, 'VALID'];
  if (same) return [input, 'SAME'];
  const [top, left] = window.begin as [number, number];
  const [bottom, right] = window.end.map((n, axis) => n + window.beyond[axis]!) as [number, number];
  const borders = builder.constant(
    `${builder.prefix}/borders`,
    ints([4, 2], [0, 0, top, bottom, left, right, 0, 0]),
  );
  const attr = { T: typeAttribute('DT_FLOAT'), Tpaddings: typeAttribute('DT_INT32') };
  const padded =
    value === 0
      ? builder.emit('Pad', [input, borders], attr)
      : builder.emit('PadV2', [input, borders, builder.scalar(value)], attr);
  return [padded, 'VALID'];
}

function pooled(
  node: NodeContext,
  op: string,
  input: string,
  padding: string,
  x: Value,
  { kernel, strides, out }: Window,
): Value {
  const attr: Attributes = {
    T: typeAttribute('DT_FLOAT'),
    data_format: stringAttribute('NHWC'),
    ksize: intsAttribute([1, ...kernel, 1]),
    strides: intsAttribute([1, ...strides, 1]),
    padding: stringAttribute(padding),
  };
  const [batch, channels] = x.shape as [number, number];
  const reference = node.builder.emit(op, [input], attr);
  const { nonNegative, quantized } = x;
  return computed(node.name, reference, [batch, channels, ...out], channelsLast(4), {
    nonNegative,
    quantized,
  });
}

/** What the mean over a whole window, zeros of the border among it, is multiplied by: one factor for every place of the window. */
function correction(window: Window, sizes: readonly number[], countsBorder: boolean): number[] {
  const [rows, columns] = [0, 1].map((n) => {
    const [begin, end] = [window.begin[n]!, window.end[n]!];
    const [low, high] = countsBorder ? [-begin, sizes[n]! + end] : [0, sizes[n]!];
    return Array.from({ length: window.out[n]! }, (_, at) => {
      const start = at * window.strides[n]! - begin;
      return Math.min(start + window.kernel[n]!, high) - Math.max(start, low);
    });
  }) as [number[], number[]];
  const whole = window.kernel[0]! * window.kernel[1]!;
  return rows.flatMap((row) => columns.map((column) => whole / (row * column)));
}

/** Over all pixels. */
const globalPool =
  (op: 'Mean' | 'Max'): Translate =>
  (node) => {
    const x = node.input(0);
    const rank = x.shape.length;
    if (rank < 3) node.rank(x, 3, 4, 5);
    const { builder } = node;
    const order: Order = channelsLast(rank);
    const axes = builder.vector(order.flatMap((axis, n) => (axis >= 2 ? [n] : [])));
    const attr = { T: typeAttribute('DT_FLOAT'), keep_dims: boolAttribute(true) };
    const reference = builder.emit(op, [builder.lay(x, order), axes], attr);
    const shape = x.shape.map((size, n) => (n < 2 ? size : 1));
    const { nonNegative, quantized } = x;
    return computed(node.name, reference, shape, order, { nonNegative, quantized });
  };

export const POOLS = {
  MaxPool: pooling(maxPool),
  AveragePool: pooling(averagePool),
  GlobalAveragePool: globalPool('Mean'),
  GlobalMaxPool: globalPool('Max'),
};
