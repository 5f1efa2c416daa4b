/** Reductions. */
import { boolAttribute, typeAttribute } from '../../graph/attributes.js';
import { type Order, permute, plain } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value } from '../value.js';
import { mapped } from './element-wise.js';
import { axesSince, reducedAxes } from './parameters.js';
import { reshaped } from './shape.js';

/** One reduction over axes of ONNX's order, which all stay with length 1. */
export function reduced(node: NodeContext, x: Value, op: string, axes: readonly number[]): Value {
  const { builder } = node;
  const places = builder.vector(axes.map((axis) => x.order.indexOf(axis)).sort((a, b) => a - b));
  const attr = { T: typeAttribute('DT_FLOAT'), keep_dims: boolAttribute(true) };
  const reference = builder.emit(op, [builder.lay(x, x.order), places], attr);
  const shape = x.shape.map((size, n) => (axes.includes(n) ? 1 : size));
  const { dtype, nonNegative } = x;
  return computed(node.name, reference, shape, x.order, { dtype, nonNegative });
}

/** The same without the axes; where the rest lies in ONNX's order, in one step. */
function reducedAway(node: NodeContext, x: Value, op: string, axes: readonly number[]): Value {
  const { builder } = node;
  const rest = x.order.filter((axis) => !axes.includes(axis));
  // What comes out lies in the order of what is left of the axes.
  const left = plain(x.shape.length).filter((axis) => !axes.includes(axis));
  const order: Order = rest.map((axis) => left.indexOf(axis));
  const places = builder.vector(axes.map((axis) => x.order.indexOf(axis)).sort((a, b) => a - b));
  const attr = { T: typeAttribute('DT_FLOAT'), keep_dims: boolAttribute(false) };
  const reference = builder.emit(op, [builder.lay(x, x.order), places], attr);
  const { dtype, nonNegative } = x;
  return computed(node.name, reference, permute(x.shape, left), order, { dtype, nonNegative });
}

/** What is done before and after summing. */
interface Steps {
  op: string;
  before?: string;
  after?: string;
}

const REDUCTIONS: Readonly<Record<string, Steps>> = {
  ReduceL1: { op: 'Sum', before: 'Abs' },
  ReduceL2: { op: 'Sum', before: 'Square', after: 'Sqrt' },
  ReduceLogSum: { op: 'Sum', after: 'Log' },
  ReduceMax: { op: 'Max' },
  ReduceMean: { op: 'Mean' },
  ReduceMin: { op: 'Min' },
  ReduceProd: { op: 'Prod' },
  ReduceSum: { op: 'Sum' },
  ReduceSumSquare: { op: 'Sum', before: 'Square' },
};

const reduce: Translate = (node) => {
  const given = node.input(0);
  const { op, before, after } = REDUCTIONS[node.proto.op]!;
  const axes = reducedAxes(node, given.shape.length, axesSince(node.proto.op));
  if (!axes) return { ...given, name: node.name };
  const x = before ? mapped(node, given, before, { nonNegative: true }) : given;
  const keeps = node.int('keepdims', 1) === 1;
  const sum = keeps ? reduced(node, x, op, axes) : reducedAway(node, x, op, axes);
  return after ? mapped(node, sum, after, { nonNegative: after === 'Sqrt' }) : sum;
};

const extreme =
  (op: 'ArgMax' | 'ArgMin'): Translate =>
  (node) => {
    const x = node.input(0);
    const rank = x.shape.length;
    const axis = node.axis(node.int('axis', 0), rank);
    if (node.int('select_last_index', 0) !== 0)
      node.fail('selects the last of equal elements; expected the first');
    const { builder } = node;
    const place = builder.scalar(x.order.indexOf(axis), 'int');
    const attr = { T: typeAttribute('DT_FLOAT'), output_type: typeAttribute('DT_INT32') };
    const reference = builder.emit(op, [builder.lay(x, x.order), place], attr);
    const left = plain(rank).filter((n) => n !== axis);
    const order = x.order.filter((n) => n !== axis).map((n) => left.indexOf(n));
    const found = computed(node.name, reference, permute(x.shape, left), order, { dtype: 'int32' });
    if (node.int('keepdims', 1) !== 1) return found;
    return reshaped(
      node,
      found,
      x.shape.map((size, n) => (n === axis ? 1 : size)),
    );
  };

export const REDUCE = {
  ...Object.fromEntries(Object.keys(REDUCTIONS).map((op) => [op, reduce])),
  ArgMax: extreme('ArgMax'),
  ArgMin: extreme('ArgMin'),
} satisfies Record<string, Translate>;
