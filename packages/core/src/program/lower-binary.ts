import { util } from '@tensorflow/tfjs-core';
import { TraceError, type TraceTensor } from '../trace.js';
import { type Lowering, made } from './lowering.js';
import type { BinaryStep } from './program.js';

/**
 * Element-wise with the same broadcasting as the eager kernels: equal shapes, or one side a scalar or a vector along the last axis.
 *
 * @param swapped code that does the same with the operands exchanged, null where there is none
 */
export function lowerBinary(code: BinaryStep['code'], swapped: BinaryStep['code'] | null): Lowering {
  return (node, { resolve, constant }) => {
    const { a, b } = node.inputs as { a: TraceTensor; b: TraceTensor };
    const step = (
      op: BinaryStep['code'],
      left: TraceTensor,
      right: TraceTensor,
      period: number,
    ): BinaryStep => ({
      op: 'binary',
      code: op,
      a: resolve(left),
      b: constant(right) ?? resolve(right),
      count: util.sizeFromShape([...left.shape]),
      period,
      activation: 'linear',
      ...made(node),
    });
    if (a.dtype === 'float32' && b.dtype === 'float32') {
      const straight = constant(a) ? null : period(a, b);
      if (straight !== null) return step(code, a, b, straight);
      const reversed = constant(b) ? null : period(b, a);
      if (swapped !== null && reversed !== null) return step(swapped, b, a, reversed);
    }
    throw new TraceError(
      `operation ${node.kernel} of ${a.dtype} [${a.shape}] and ${b.dtype} [${b.shape}] is not known to plans; expected equal shapes, or one value per channel`,
    );
  };
}

/** After how many elements `b` repeats along `a`, or null. */
function period(a: TraceTensor, b: TraceTensor): number | null {
  if (a.shape.join() === b.shape.join()) return util.sizeFromShape([...a.shape]);
  const size = util.sizeFromShape([...b.shape]);
  if (b.shape.length > a.shape.length) return null;
  return size === 1 || (size === b.shape.at(-1) && size === a.shape.at(-1)) ? size : null;
}

const elementwise = { op: 'binary', activation: 'linear' } as const;

/** `x²`. */
export const lowerSquare: Lowering = (node, { resolve }) => {
  const { x } = node.inputs;
  const count = util.sizeFromShape([...x!.shape]);
  const [a, b] = [resolve(x!), resolve(x!)];
  return { ...elementwise, code: 'mul', a, b, count, period: count, ...made(node) };
};

export const lowerNeg: Lowering = (node, { resolve }) => {
  const { x } = node.inputs;
  const count = util.sizeFromShape([...x!.shape]);
  return {
    ...elementwise,
    code: 'mul',
    a: resolve(x!),
    b: Float32Array.of(-1),
    count,
    period: 1,
    ...made(node),
  };
};

/** `(a - b)²`. */
export const lowerSquaredDifference: Lowering = (node, context) => {
  const difference = lowerBinary('sub', 'reverseSub')(node, context) as BinaryStep;
  const { count } = difference;
  const value = context.temporary(node.outputs[0]!.shape);
  return [
    { ...difference, output: value },
    { ...elementwise, code: 'mul', a: value, b: value, count, period: count, ...made(node) },
  ];
};

/** Sums from left to right. */
export const lowerAddN: Lowering = (node, { resolve, constant, temporary }) => {
  const [first, ...others] = Object.values(node.inputs);
  if (!first || others.length === 0 || constant(first)) {
    throw new TraceError(
      'operation AddN that begins with a constant, or has one input, is not known to plans',
    );
  }
  const count = util.sizeFromShape([...first.shape]);
  let sum = resolve(first);
  return others.map((other, n): BinaryStep => {
    const a = sum;
    sum = n === others.length - 1 ? made(node).output : temporary(first.shape);
    const b = constant(other) ?? resolve(other);
    return { ...elementwise, code: 'add', a, b, count, period: count, ...made(node), output: sum };
  });
};
