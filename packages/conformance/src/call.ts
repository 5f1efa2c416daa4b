/** A case's call of the operator on the current TensorFlow.js backend. */
import { DS_DEPTHWISE_CONV2D, type DSConvFilter, dsconv2d, dsDepthwiseConv2d } from '@dsconv/core';
import { type Tensor1D, type Tensor4D, tensor1d, tensor4d } from '@tensorflow/tfjs-core';
import type { OperatorCase } from './case.js';
import type { CaseData } from './data.js';

/** The tensors of a case, by the operator's names. */
export interface CaseTensors {
  x: Tensor4D;
  bias?: Tensor1D;
  residual?: Tensor4D;
  preluActivationWeights?: Tensor1D;
}

/** Creates the tensors of a case on the current backend. */
export function upload(c: OperatorCase, data: CaseData): CaseTensors {
  const { batch, outHeight, outWidth, outChannels } = data.geometry;
  const { bias, residual, preluActivationWeights } = data;
  return {
    x: tensor4d(data.x, c.inputShape),
    ...(bias && { bias: tensor1d(bias) }),
    ...(residual && { residual: tensor4d(residual, [batch, outHeight, outWidth, outChannels]) }),
    ...(preluActivationWeights && { preluActivationWeights: tensor1d(preluActivationWeights) }),
  };
}

/** The call a case describes. */
export function callOperator(c: OperatorCase, filter: DSConvFilter, inputs: CaseTensors): Tensor4D {
  const { x, ...optional } = inputs;
  const { dilations, activation, leakyreluAlpha, activationBits, outputFormat } = c;
  const options = { ...optional, dilations, activation, leakyreluAlpha, activationBits, outputFormat };
  return c.kernel === DS_DEPTHWISE_CONV2D
    ? dsDepthwiseConv2d(x, filter, c.strides, c.pad, options)
    : dsconv2d(x, filter, c.strides, c.pad, { ...options, groups: c.groups });
}
