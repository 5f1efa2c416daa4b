import { TraceError, type TraceTensor } from '@dsconv/core';
import { util } from '@tensorflow/tfjs-core';
import { type Lowering, made } from './lowering.js';
import type { BinaryStep } from './program.js';

/**
 * Element-wise with the same broadcasting as the eager kernels: equal shapes, or one side a scalar or a vector along the last axis.
 *
 * @param swapped code that does the same with the operands exchanged
 */
export function lowerBinary(code: BinaryStep['code'], swapped: BinaryStep['code']): Lowering {
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
      if (reversed !== null) return step(swapped, b, a, reversed);
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
