/** Element-wise operators on known numbers. Integers stay integers, floats are rounded to float32 after every operator. */
import { broadcastShape, broadcastTo, type Constant, dataOf, floats, ints } from '../constant.js';
import type { NodeContext } from '../node-context.js';
import { checkCount } from './limits.js';
import { halfToEven } from './quantization.js';

type Kind = Constant['kind'];
export type Fold = (node: NodeContext, inputs: readonly Constant[]) => (Constant | null)[] | null;

export function unary(compute: (value: number) => number): Fold {
  return (_, [x]) => [{ ...x!, data: x!.data.map(compute) }];
}

/** @param kind of the result; null for that of the inputs */
export function binary(
  compute: (a: number, b: number, kind: Kind) => number,
  kind: Kind | null = null,
): Fold {
  return (node, inputs) => [inputs.reduce((a, b) => combine(node, a, b, compute, kind))];
}

function combine(
  node: NodeContext,
  a: Constant,
  b: Constant,
  compute: (a: number, b: number, kind: Kind) => number,
  kind: Kind | null,
): Constant {
  const shape =
    broadcastShape(a.shape, b.shape) ??
    node.fail(`reads [${a.shape}] and [${b.shape}]; expected shapes that broadcast`);
  checkCount(node, shape, kind ?? a.kind);
  const [x, y] = [broadcastTo(a, shape), broadcastTo(b, shape)];
  const data = dataOf(kind ?? a.kind, x.data.length);
  for (let n = 0; n < data.length; n++) data[n] = compute(x.data[n]!, y.data[n]!, a.kind);
  return { kind: kind ?? a.kind, shape, data };
}

const truth = (compute: (a: number, b: number) => boolean): Fold =>
  binary((a, b) => (compute(a, b) ? 1 : 0), 'bool');

const where: Fold = (node, [condition, a, b]) => {
  const wide = broadcastShape(a!.shape, b!.shape);
  const shape = wide && broadcastShape(condition!.shape, wide);
  if (!shape) {
    return node.fail(
      `reads [${condition!.shape}], [${a!.shape}] and [${b!.shape}]; expected shapes that broadcast`,
    );
  }
  checkCount(node, shape, a!.kind);
  const [c, x, y] = [condition!, a!, b!].map((part) => broadcastTo(part, shape)) as [
    Constant,
    Constant,
    Constant,
  ];
  return [{ ...x, data: x.data.map((value, n) => (c.data[n] ? value : y.data[n]!)) }];
};

/** Kinds by the numbers of `TensorProto.DataType`. */
export function castKind(node: NodeContext): Kind {
  const to = node.int('to', 0);
  if ([1, 10, 11, 16].includes(to)) return 'float';
  if ([2, 3, 4, 5, 6, 7, 12, 13].includes(to)) return 'int';
  return to === 9 ? 'bool' : node.fail(`casts to type ${to}; expected floats, integers or booleans`);
}

const cast: Fold = (node, [x]) => {
  const { shape, data } = x!;
  const kind = castKind(node);
  if (kind === 'float') return [floats(shape, data)];
  if (kind === 'bool') return [{ kind, shape, data: Float64Array.from(data, (value) => (value ? 1 : 0)) }];
  return [ints(shape, Float64Array.from(data, Math.trunc))];
};

const modulo: Fold = (node, inputs) => {
  const likeC = node.int('fmod', 0) === 1;
  return binary((a, b) => (likeC ? a % b : a - b * Math.floor(a / b)))(node, inputs);
};

export const ARITHMETIC: Readonly<Record<string, Fold>> = {
  Abs: unary(Math.abs),
  Add: binary((a, b) => a + b),
  And: truth((a, b) => a !== 0 && b !== 0),
  Cast: cast,
  Ceil: unary(Math.ceil),
  Div: binary((a, b, kind) => (kind === 'int' ? Math.trunc(a / b) : a / b)),
  Equal: truth((a, b) => a === b),
  Exp: unary(Math.exp),
  Floor: unary(Math.floor),
  Greater: truth((a, b) => a > b),
  GreaterOrEqual: truth((a, b) => a >= b),
  Less: truth((a, b) => a < b),
  LessOrEqual: truth((a, b) => a <= b),
  Log: unary(Math.log),
  Max: binary((a, b) => Math.max(a, b)),
  Min: binary((a, b) => Math.min(a, b)),
  Mod: modulo,
  Mul: binary((a, b) => a * b),
  Neg: unary((value) => -value),
  Not: unary((value) => (value ? 0 : 1)),
  Or: truth((a, b) => a !== 0 || b !== 0),
  Pow: binary((a, b) => a ** b),
  Reciprocal: unary((value) => 1 / value),
  Round: unary(halfToEven),
  Sign: unary(Math.sign),
  Sqrt: unary(Math.sqrt),
  Sub: binary((a, b) => a - b),
  Sum: binary((a, b) => a + b),
  Where: where,
};

/** Those that one input is enough for. */
export const UNARY_OR_MORE: readonly string[] = [
  'Abs',
  'Cast',
  'Ceil',
  'Exp',
  'Floor',
  'Log',
  'Max',
  'Min',
  'Neg',
  'Not',
  'Reciprocal',
  'Round',
  'Sign',
  'Sqrt',
  'Sum',
];
