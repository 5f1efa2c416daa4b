import { util } from '@tensorflow/tfjs-core';
import { TraceError, type TraceTensor } from '../trace.js';
import { activationOf, parameter } from './lower-convolution.js';
import { type Lowering, made } from './lowering.js';

/** `BatchMatMul` and `_FusedMatMul`; one batch entry may serve all of the other side. */
export const lowerMatMul: Lowering = (node, context) => {
  const { a, b } = node.inputs as { a: TraceTensor; b: TraceTensor };
  const { transposeA = false, transposeB = false } = node.attributes as {
    transposeA?: boolean;
    transposeB?: boolean;
  };
  const batchOf = ({ shape }: TraceTensor): number => util.sizeFromShape(shape.slice(0, -2));
  const [batchA, batchB] = [batchOf(a), batchOf(b)];
  if (batchA !== batchB && batchA !== 1 && batchB !== 1) {
    throw new TraceError(`operation ${node.kernel} of [${a.shape}] and [${b.shape}] is not known to plans`);
  }
  if (context.constant(a))
    throw new TraceError(`operation ${node.kernel} of a constant is not known to plans`);
  const m = a.shape.at(transposeA ? -1 : -2)!;
  const k = a.shape.at(transposeA ? -2 : -1)!;
  const n = b.shape.at(transposeB ? -2 : -1)!;
  return {
    op: 'matMul',
    a: context.resolve(a),
    b: context.constant(b) ?? context.resolve(b),
    batch: Math.max(batchA, batchB),
    m,
    k,
    n,
    transposeA,
    transposeB,
    aStride: batchA === 1 ? 0 : m * k,
    bStride: batchB === 1 ? 0 : k * n,
    bias: parameter(node, 'bias', context, n),
    activation: activationOf(node),
    leakyreluAlpha: (node.attributes.leakyreluAlpha as number | undefined) ?? 0.2,
    slopes: parameter(node, 'preluActivationWeights', context, n),
    ...made(node),
  };
};
