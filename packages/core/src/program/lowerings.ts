/** The lowering of every TensorFlow.js kernel that plans know. */

import {
  _FusedMatMul,
  Add,
  AddN,
  AvgPool,
  BatchMatMul,
  Cast,
  ClipByValue,
  Concat,
  Conv2D,
  DepthwiseConv2dNative,
  Exp,
  FusedBatchNorm,
  FusedConv2D,
  FusedDepthwiseConv2D,
  LeakyRelu,
  Max,
  Maximum,
  MaxPool,
  Mean,
  Minimum,
  Multiply,
  Neg,
  PadV2,
  Prelu,
  RealDiv,
  Relu,
  Relu6,
  Sigmoid,
  Slice,
  Softmax,
  Square,
  SquaredDifference,
  Sub,
  Sum,
  Tanh,
  Transpose,
  util,
} from '@tensorflow/tfjs-core';
import { DS_DEPTHWISE_CONV2D, DSCONV2D } from '../contract.js';
import { TraceError } from '../trace.js';
import { lowerAddN, lowerBinary, lowerNeg, lowerSquare, lowerSquaredDifference } from './lower-binary.js';
import { lowerConvolution, lowerDSConv, lowerPool } from './lower-convolution.js';
import { lowerMatMul } from './lower-mat-mul.js';
import { lowerMax, lowerMean, lowerSum } from './lower-reduce.js';
import { lowerCast, lowerConcat, lowerPad, lowerSlice, lowerTranspose } from './lower-shape.js';
import { type Lowering, made } from './lowering.js';
import type { BinaryStep, UnaryStep } from './program.js';

function unary(code: UnaryStep['code']): Lowering {
  return (node, { resolve, constant }) => {
    const { x, alpha } = node.inputs;
    const slopes = code === 'prelu' ? constant(alpha) : null;
    if (code === 'prelu' && slopes?.length !== x!.shape.at(-1)) {
      throw new TraceError(
        'operation Prelu with computed slopes, or slopes that are not one per channel, is not known to plans',
      );
    }
    const slope = (node.attributes.alpha as number | undefined) ?? 0;
    const count = util.sizeFromShape([...x!.shape]);
    return { op: 'unary', code, input: resolve(x!), count, alpha: slope, slopes, ...made(node) };
  };
}

/** 0 to 6 is relu6, which convolutions have in their epilogue. */
const lowerClip: Lowering = (node, context) => {
  const { clipValueMin: least, clipValueMax: most } = node.attributes as Record<string, number>;
  if (least === 0 && most === 6) return unary('relu6')(node, context);
  const { x } = node.inputs;
  const count = util.sizeFromShape([...x!.shape]);
  const raised = context.temporary(x!.shape);
  const base = made(node);
  const step = (code: 'max' | 'min', a: number, limit: number, output: number): BinaryStep => ({
    ...base,
    op: 'binary',
    code,
    a,
    b: Float32Array.of(limit),
    count,
    period: 1,
    activation: 'linear',
    output,
  });
  return [step('max', context.resolve(x!), least!, raised), step('min', raised, most!, base.output)];
};

const lowerBatchNorm: Lowering = (node, { resolve, constant }) => {
  const { x, mean, variance, scale, offset } = node.inputs;
  const channels = x!.shape.at(-1)!;
  const [means, variances, gammas, betas] = [mean, variance, scale, offset].map(constant);
  if (means?.length !== channels || variances?.length !== channels) {
    throw new TraceError('operation FusedBatchNorm with computed statistics is not known to plans');
  }
  const epsilon = (node.attributes.varianceEpsilon as number | undefined) ?? 0.001;
  const factor = Float32Array.from(variances, (v, c) => (gammas ? gammas[c]! : 1) / Math.sqrt(v + epsilon));
  const shift = Float32Array.from(means, (m, c) => (betas ? betas[c]! : 0) - m * factor[c]!);
  const count = util.sizeFromShape([...x!.shape]);
  return {
    op: 'scaleShift',
    input: resolve(x!),
    scale: factor,
    shift,
    count,
    activation: 'linear',
    ...made(node),
  };
};

const lowerSoftmax: Lowering = (node, { resolve }) => {
  const { logits } = node.inputs;
  const channels = logits!.shape.at(-1) ?? 1;
  const dim = node.attributes.dim as number;
  if (dim !== -1 && dim !== logits!.shape.length - 1) {
    throw new TraceError(`operation Softmax over axis ${dim} is not known to plans; expected the last one`);
  }
  const rows = util.sizeFromShape([...logits!.shape]) / channels;
  return { op: 'softmax', input: resolve(logits!), rows, channels, ...made(node) };
};

export const LOWERINGS: Readonly<Record<string, Lowering>> = {
  [DSCONV2D]: lowerDSConv,
  [DS_DEPTHWISE_CONV2D]: lowerDSConv,
  [Conv2D]: lowerConvolution(false),
  [FusedConv2D]: lowerConvolution(false),
  [DepthwiseConv2dNative]: lowerConvolution(true),
  [FusedDepthwiseConv2D]: lowerConvolution(true),
  [MaxPool]: lowerPool('max'),
  [AvgPool]: lowerPool('avg'),
  [BatchMatMul]: lowerMatMul,
  [_FusedMatMul]: lowerMatMul,
  [Add]: lowerBinary('add', 'add'),
  [AddN]: lowerAddN,
  [Sub]: lowerBinary('sub', 'reverseSub'),
  [Multiply]: lowerBinary('mul', 'mul'),
  [RealDiv]: lowerBinary('div', null),
  [Maximum]: lowerBinary('max', 'max'),
  [Minimum]: lowerBinary('min', 'min'),
  [SquaredDifference]: lowerSquaredDifference,
  [Square]: lowerSquare,
  [Neg]: lowerNeg,
  [ClipByValue]: lowerClip,
  [Relu]: unary('relu'),
  [Relu6]: unary('relu6'),
  [Sigmoid]: unary('sigmoid'),
  [Tanh]: unary('tanh'),
  [Exp]: unary('exp'),
  [LeakyRelu]: unary('leakyrelu'),
  [Prelu]: unary('prelu'),
  [Mean]: lowerMean,
  [Sum]: lowerSum,
  [Max]: lowerMax,
  [FusedBatchNorm]: lowerBatchNorm,
  [Softmax]: lowerSoftmax,
  [Concat]: lowerConcat,
  [Slice]: lowerSlice,
  [Cast]: lowerCast,
  [PadV2]: lowerPad,
  [Transpose]: lowerTranspose,
};
