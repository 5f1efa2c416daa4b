/** Operators that pick elements by index. */
import { intAttribute, typeAttribute } from '../../graph/attributes.js';
import { TYPED } from '../builder.js';
import { type Constant, ints } from '../constant.js';
import { plain, withLast } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value } from '../value.js';
import { reshaped } from './shape.js';
import { sliced } from './slice-join.js';

const gather: Translate = (node) => {
  const [x, indices] = [node.input(0), node.input(1)];
  const axis = node.axis(node.int('axis', 0), x.shape.length);
  const size = x.shape[axis]!;
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  if (indices.constant) {
    const positive = countedFromStart(node, indices.constant, size);
    if (indices.shape.length === 0) {
      const start = positive.data[0]!;
      const ranges = x.shape.map((count, n) =>
        n === axis ? { start, step: 1, count: 1 } : { start: 0, step: 1, count },
      );
      return reshaped(node, sliced(node, x, ranges), shape);
    }
    if (indices.shape.length === 1) return gathered(node, x, axis, positive);
  }
  if (indices.constant && indices.dtype !== 'int32')
    node.fail('has indices that are no integers; expected integers');
  const { builder } = node;
  const [values, places] = [x, indices].map((value) => builder.lay(value, plain(value.shape.length)));
  const reference = builder.emit('GatherV2', [values!, places!, builder.scalar(axis, 'int')], GATHER);
  return computed(node.name, reference, shape, plain(shape.length), {
    dtype: x.dtype,
    nonNegative: x.nonNegative,
  });
};

const GATHER = {
  Tparams: typeAttribute('DT_FLOAT'),
  Tindices: typeAttribute('DT_INT32'),
  Taxis: typeAttribute('DT_INT32'),
  batch_dims: intAttribute(0),
};

function countedFromStart(node: NodeContext, indices: Constant, size: number): Constant {
  if (node.builder.isOpen(size)) node.failOpen('takes some of the pictures of a batch');
  const data = indices.data.map((index) => (index < 0 ? index + size : index));
  const bad = data.findIndex((index) => !(index >= 0 && index < size));
  if (bad >= 0) node.fail(`gathers element ${indices.data[bad]} of ${size}; expected one that is there`);
  return ints(indices.shape, data);
}

/** Elements of one axis by a list of known indices. */
export function gathered(node: NodeContext, x: Value, axis: number, indices: Constant): Value {
  const { builder } = node;
  const places = builder.constant(`${node.name}/indices`, indices);
  const place = builder.scalar(x.order.indexOf(axis), 'int');
  const reference = builder.emit('GatherV2', [builder.lay(x, x.order), places, place], GATHER);
  const shape = x.shape.map((size, n) => (n === axis ? indices.data.length : size));
  const { dtype, nonNegative, quantized } = x;
  return computed(node.name, reference, shape, x.order, { dtype, nonNegative, quantized });
}

/** The largest (or smallest) along one axis, sorted. */
const topK: Translate = (node) => {
  const x = node.input(0);
  const rank = x.shape.length;
  const axis = node.axis(node.int('axis', -1), rank);
  const k = node.opset < 10 ? node.int('k', 0) : node.number(1, 'its number of elements');
  if (!(k >= 1 && k <= x.shape[axis]!))
    node.fail(`takes ${k} of ${x.shape[axis]} elements; expected as many as there are`);
  if (x.dtype !== 'float32') node.fail(`reads ${x.dtype}; expected floats`);
  const { builder } = node;
  const order = withLast(x.order, axis);
  const smallest = node.int('largest', 1) === 0;
  const laid = builder.lay(x, order);
  const input = smallest ? builder.emit('Neg', [laid]) : laid;
  const reference = builder.emit('TopKV2', [input, builder.scalar(k, 'int')], {
    ...TYPED,
    sorted: { b: true },
  });
  const shape = x.shape.map((size, n) => (n === axis ? k : size));
  const values = smallest ? builder.emit('Neg', [reference]) : reference;
  return [
    computed(node.name, values, shape, order, { nonNegative: x.nonNegative }),
    computed(node.proto.outputs[1] ?? '', `${reference}:1`, shape, order, { dtype: 'int32' }),
  ];
};

export const GATHER_OPERATORS = { Gather: gather, TopK: topK } satisfies Record<string, Translate>;
