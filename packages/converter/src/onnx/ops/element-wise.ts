/** Operators of one or more operands, element by element, with broadcasting. */
import { type Attributes, typeAttribute } from '../../graph/attributes.js';
import { elementCount } from '../../graph/stored-weights.js';
import { broadcastShape } from '../constant.js';
import { castKind } from '../fold/arithmetic.js';
import { type Order, plain } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value, type ValueType } from '../value.js';

/** One operator applied to every element of `x`, wherever it lies. */
export function mapped(
  node: NodeContext,
  x: Value,
  op: string,
  {
    attr,
    nonNegative = false,
    more = [],
  }: { attr?: Attributes; nonNegative?: boolean; more?: string[] } = {},
): Value {
  const reference = node.builder.emit(op, [node.builder.lay(x, x.order), ...more], attr);
  const { dtype, columns } = x;
  return computed(node.name, reference, x.shape, x.order, { dtype, columns, nonNegative });
}

/** `x` with a number, such as `x * 2`. */
export function withNumber(node: NodeContext, x: Value, op: string, number: number): Value {
  return mapped(node, x, op, { more: [node.builder.scalar(number)] });
}

/** Operands with the shape and the order that their result has. */
export function broadcast(
  node: NodeContext,
  values: readonly Value[],
): { references: string[]; shape: number[]; order: Order } {
  const { builder } = node;
  const shape = values.reduce<number[]>((wide, { shape: own }) => {
    return (
      broadcastShape(wide, own) ??
      node.fail(
        `reads [${builder.describe(wide)}] and [${builder.describe(own)}]; expected shapes that broadcast`,
      )
    );
  }, []);
  const order = leadingOrder(values, shape);
  const rank = shape.length;
  const short = values.some((value) => !value.constant && value.shape.length === rank);
  return { references: values.map((value) => builder.operand(value, rank, order, short)), shape, order };
}

/** The order of the largest operand, so that it need not be moved; of two as large that of pictures. */
export function leadingOrder(values: readonly Value[], shape: readonly number[]): Order {
  const rank = shape.length;
  const whole = values.filter((value) => !value.constant && value.shape.length === rank);
  const size = (value: Value): number => elementCount(value.shape);
  const isPlain = ({ order }: Value): boolean => order.every((axis, n) => axis === n);
  const [first] = [...whole].sort((a, b) => size(b) - size(a) || Number(isPlain(a)) - Number(isPlain(b)));
  return first?.order ?? plain(rank);
}

/** Two operands, or more from left to right. */
export function combined(
  node: NodeContext,
  values: readonly Value[],
  op: string,
  details: { dtype?: ValueType; nonNegative?: boolean; attr?: Attributes } = {},
): Value {
  const { references, shape, order } = broadcast(node, values);
  const [first, ...others] = references as [string, ...string[]];
  const { builder } = node;
  if (others.length === 0) return { ...values[0]!, name: node.name };
  const reference = others.reduce((sum, other) => builder.emit(op, [sum, other], details.attr), first);
  return computed(node.name, reference, shape, order, {
    dtype: details.dtype ?? values[0]!.dtype,
    nonNegative: details.nonNegative ?? false,
  });
}

const binary =
  (op: string, keepsSign = false): Translate =>
  (node) => {
    const values = [node.input(0), node.input(1)];
    return combined(node, values, op, {
      nonNegative: keepsSign && values.every((value) => value.nonNegative),
    });
  };

const variadic =
  (op: string): Translate =>
  (node) => {
    const values = node.inputs();
    return combined(node, values, op, { nonNegative: values.every((value) => value.nonNegative) });
  };

const mean: Translate = (node) => {
  const values = node.inputs();
  const sum = combined(node, values, 'AddV2');
  return {
    ...withNumber(node, sum, 'Mul', 1 / values.length),
    nonNegative: values.every((x) => x.nonNegative),
  };
};

const divide: Translate = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  return combined(node, [a, b], a.dtype === 'float32' ? 'RealDiv' : 'FloorDiv');
};

const power: Translate = (node) => {
  const [x, exponent] = [node.input(0), node.input(1)];
  const isNumber = exponent.constant?.data.length === 1 && exponent.shape.length <= x.shape.length;
  const number = isNumber ? exponent.constant!.data[0] : undefined;
  if (x.dtype === 'float32' && number === 2) return mapped(node, x, 'Square', { nonNegative: true });
  if (x.dtype === 'float32' && number === 0.5) return mapped(node, x, 'Sqrt', { nonNegative: true });
  if (number !== undefined && x.dtype === 'float32') return withNumber(node, x, 'Pow', number);
  return combined(node, [x, exponent], 'Pow');
};

const compare =
  (op: string): Translate =>
  (node) =>
    combined(node, [node.input(0), node.input(1)], op, { dtype: 'bool' });

const unary =
  (op: string, nonNegative = false): Translate =>
  (node) =>
    mapped(node, node.input(0), op, { nonNegative });

const where: Translate = (node) => {
  const values = [node.input(0), node.input(1), node.input(2)];
  const { references, shape, order } = broadcast(node, values);
  const reference = node.builder.emit('SelectV2', references);
  return computed(node.name, reference, shape, order, { dtype: values[1]!.dtype });
};

const TYPES = { float: 'DT_FLOAT', int: 'DT_INT32', bool: 'DT_BOOL' } as const;

const cast: Translate = (node) => {
  const x = node.input(0);
  const kind = castKind(node);
  const dtype = ({ float: 'float32', int: 'int32', bool: 'bool' } as const)[kind];
  if (dtype === x.dtype) return { ...x, name: node.name };
  const attr = { DstT: typeAttribute(TYPES[kind]), Truncate: { b: false } };
  return { ...mapped(node, x, 'Cast', { attr, nonNegative: x.nonNegative }), dtype };
};

const identity: Translate = (node) => {
  if (node.isRead(1)) node.fail('has its mask read; expected the first output only');
  return { ...node.input(0), name: node.name };
};

export const ELEMENT_WISE = {
  Abs: unary('Abs', true),
  Add: binary('AddV2', true),
  And: compare('LogicalAnd'),
  Cast: cast,
  Ceil: unary('Ceil'),
  Cos: unary('Cos'),
  Div: divide,
  Dropout: identity,
  Equal: compare('Equal'),
  Erf: unary('Erf'),
  Exp: unary('Exp', true),
  Floor: unary('Floor'),
  Greater: compare('Greater'),
  GreaterOrEqual: compare('GreaterEqual'),
  Identity: identity,
  Less: compare('Less'),
  LessOrEqual: compare('LessEqual'),
  Log: unary('Log'),
  Max: variadic('Maximum'),
  Mean: mean,
  Min: variadic('Minimum'),
  Mul: binary('Mul', true),
  Neg: unary('Neg'),
  Not: unary('LogicalNot'),
  Or: compare('LogicalOr'),
  Pow: power,
  Reciprocal: unary('Reciprocal'),
  Round: unary('Round'),
  Sign: unary('Sign'),
  Sin: unary('Sin'),
  Sqrt: unary('Sqrt', true),
  Sub: binary('Sub'),
  Sum: variadic('AddV2'),
  Where: where,
} satisfies Record<string, Translate>;
