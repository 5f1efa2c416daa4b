/** Operators that give values another shape or order, mostly without moving anything. */
import { typeAttribute } from '../../graph/attributes.js';
import { TYPED } from '../builder.js';
import { broadcastShape, ints } from '../constant.js';
import { permutation } from '../fold/shapes.js';
import { channelsLast, orderForReshape, permute, plain, reshapedOrder } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value } from '../value.js';
import { flattened, reshapeTarget, squeezed, unsqueezed } from './parameters.js';

/** A value in a new shape of as many elements. */
export function reshaped(node: NodeContext, x: Value, shape: readonly number[]): Value {
  const { builder } = node;
  const { dtype, nonNegative, quantized } = x;
  if (shape.join() === x.shape.join()) return { ...x, name: node.name };
  const kept = reshapedOrder(x.shape, x.order, shape);
  if (!kept && isRowsOfPictures(node, x, shape)) return rowsOfPictures(node, x, shape);
  const from = kept ? x.order : orderForReshape(x.shape, x.order, shape);
  const order = kept ?? reshapedOrder(x.shape, from, shape) ?? plain(shape.length);
  const reference = builder.reshape(builder.lay(x, from), permute(shape, order));
  return computed(node.name, reference, shape, order, { dtype, nonNegative, quantized });
}

/** Operators behind which a matrix product may come, as they do not care which column is which. */
const COLUMN_BLIND = ['Dropout', 'Identity', 'Relu', 'LeakyRelu', 'Clip', 'HardSwish', 'Sigmoid', 'Tanh'];

/**
 * `[batch, channels, height, width]` to `[batch, all]` for matrix products alone: the matrix's rows are sorted instead of the pictures' values.
 */
function isRowsOfPictures(node: NodeContext, x: Value, shape: readonly number[]): boolean {
  const isPicture = x.shape.length === 4 && x.order.join() === channelsLast(4).join();
  if (!isPicture || shape.length !== 2 || shape[0] !== x.shape[0]) return false;
  const onlyProducts = (name: string, depth: number): boolean => {
    const readers = node.readersOf(name);
    return (
      depth < 10 &&
      readers !== null &&
      readers.length > 0 &&
      readers.every(({ op, inputs, outputs }) => {
        if (COLUMN_BLIND.includes(op)) return inputs[0] === name && onlyProducts(outputs[0] ?? '', depth + 1);
        return (
          (op === 'Gemm' || op === 'MatMul') && inputs[0] === name && inputs[1] !== name && inputs[2] !== name
        );
      })
    );
  };
  return onlyProducts(node.proto.outputs[0] ?? '', 0);
}

function rowsOfPictures(node: NodeContext, x: Value, shape: readonly number[]): Value {
  const { builder } = node;
  const [, channels, height, width] = x.shape as [number, number, number, number];
  const columns = new Float64Array(channels * height * width);
  for (let n = 0; n < columns.length; n++) {
    columns[n] = (n % channels) * height * width + Math.floor(n / channels);
  }
  const reference = builder.reshape(builder.lay(x, x.order), shape);
  return computed(node.name, reference, shape, plain(2), { nonNegative: x.nonNegative, columns });
}

const reshape =
  (target: (node: NodeContext, shape: readonly number[]) => number[]): Translate =>
  (node) => {
    const x = node.input(0);
    return reshaped(node, x, target(node, x.shape));
  };

/** Only the order changes; whoever cannot read it moves the values then. */
const transpose: Translate = (node) => {
  const x = node.input(0);
  const perm = permutation(node, x.shape.length);
  const place = (axis: number): number => perm.indexOf(axis);
  const forms = new Map<string, string>();
  for (const [key, reference] of x.forms) {
    forms.set((key === '' ? [] : key.split(',').map(Number)).map(place).join(), reference);
  }
  return { ...x, name: node.name, shape: permute(x.shape, perm), order: x.order.map(place), forms };
};

/** With sizes that are known; a batch is never repeated. */
const expand: Translate = (node) => {
  const x = node.input(0);
  const wanted = [...node.constant(1, 'its shape').data];
  const { builder } = node;
  const shape =
    broadcastShape(x.shape, wanted) ??
    node.fail(
      `expands [${builder.describe(x.shape)}] to [${builder.describe(wanted)}]; expected a shape it broadcasts to`,
    );
  const lead = shape.length - x.shape.length;
  return repeated(
    node,
    reshaped(node, x, [...new Array<number>(lead).fill(1), ...x.shape]),
    shape.map((size, n) => (size === (x.shape[n - lead] ?? 1) ? 1 : size)),
  );
};

/** @param times how often each of its axes comes */
export function repeated(node: NodeContext, x: Value, times: readonly number[]): Value {
  const { builder } = node;
  if (times.every((n) => n === 1)) return { ...x, name: node.name };
  if (times.some((n) => !(n >= 1)))
    node.fail(`repeats [${x.shape}] [${times}] times; expected numbers from 1`);
  if (times.some((n) => builder.isOpen(n))) node.failOpen('repeats values for every picture');
  const repeats = builder.constant(`${node.name}/repeats`, ints([times.length], permute(times, x.order)));
  const attr = { ...TYPED, Tmultiples: typeAttribute('DT_INT32') };
  const reference = builder.emit('Tile', [builder.lay(x, x.order), repeats], attr);
  const shape = x.shape.map((size, n) => size * times[n]!);
  const { dtype, nonNegative } = x;
  return computed(node.name, reference, shape, x.order, { dtype, nonNegative });
}

const tile: Translate = (node) => {
  const x = node.input(0);
  const times = [...node.constant(1, 'its repeats').data];
  if (times.length !== x.shape.length) {
    node.fail(`has ${times.length} repeats for ${x.shape.length} dimensions; expected as many`);
  }
  return repeated(node, x, times);
};

/** Blocks of pixels out of channels. */
const depthToSpace: Translate = (node) => {
  const x = node.input(0);
  node.rank(x, 4);
  const { builder } = node;
  const block = node.int('blocksize', 0);
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const depth = channels / block ** 2;
  if (!(block >= 1) || !Number.isInteger(depth)) {
    node.fail(`has blocksize ${block} for ${channels} channels; expected one whose square divides them`);
  }
  const mode = node.text('mode', 'DCR');
  if (mode !== 'DCR' && mode !== 'CRD') node.fail(`has mode ${mode}; expected DCR or CRD`);
  // Channels are [block, block, depth] or [depth, block, block]; rows and columns of a block go behind those of the picture.
  const split =
    mode === 'DCR'
      ? [batch, block, block, depth, height, width]
      : [batch, depth, block, block, height, width];
  const order = mode === 'DCR' ? [0, 4, 1, 5, 2, 3] : [0, 4, 2, 5, 3, 1];
  const laid = builder.lay(reshaped(node, x, split), order);
  const shape = [batch, depth, height * block, width * block];
  const reference = builder.reshape(laid, permute(shape, channelsLast(4)));
  return computed(node.name, reference, shape, channelsLast(4), {
    nonNegative: x.nonNegative,
    dtype: x.dtype,
  });
};

/** Channels out of blocks of pixels. */
const spaceToDepth: Translate = (node) => {
  const x = node.input(0);
  node.rank(x, 4);
  const { builder } = node;
  const block = node.int('blocksize', 0);
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  if (!(block >= 1) || height % block !== 0 || width % block !== 0) {
    node.fail(`has blocksize ${block} for ${height} × ${width} pixels; expected a divisor of both`);
  }
  const parts = reshaped(node, x, [batch, channels, height / block, block, width / block, block]);
  const laid = builder.lay(parts, [0, 2, 4, 3, 5, 1]);
  const shape = [batch, channels * block ** 2, height / block, width / block];
  const reference = builder.reshape(laid, permute(shape, channelsLast(4)));
  return computed(node.name, reference, shape, channelsLast(4), {
    nonNegative: x.nonNegative,
    dtype: x.dtype,
  });
};

export const SHAPE_OPERATORS = {
  DepthToSpace: depthToSpace,
  Expand: expand,
  Flatten: reshape(flattened),
  Reshape: reshape(reshapeTarget),
  SpaceToDepth: spaceToDepth,
  Squeeze: reshape(squeezed),
  Tile: tile,
  Transpose: transpose,
  Unsqueeze: reshape(unsqueezed),
} satisfies Record<string, Translate>;
