/** Kernels `DSConv2D` and `DSDepthwiseConv2D`. */
import { DS_DEPTHWISE_CONV2D, DSCONV2D, type DSConvAttributes } from '@dsconv/core';
import type { KernelConfig, KernelFunc, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import type { DSConvCpuBackend } from '../backend.js';
import { dsconv2dJs } from '../js/dsconv.js';

interface Arguments {
  inputs: NamedTensorInfoMap;
  backend: DSConvCpuBackend;
  attrs: DSConvAttributes;
}

function run({ inputs, backend, attrs }: Arguments): TensorInfo {
  if (!backend.engine) return dsconv2dJs(inputs, backend, attrs);
  const { filter, geometry, activation, leakyreluAlpha, activationBits, outputFormat } = attrs;
  const { batch, outHeight, outWidth, outChannels } = geometry;
  const call = {
    geometry,
    x: backend.operand(inputs.x!),
    bias: backend.operand(inputs.bias),
    residual: backend.operand(inputs.residual),
    slopes: backend.operand(inputs.preluActivationWeights),
    activation,
    leakyreluAlpha,
  };
  return backend.fill([batch, outHeight, outWidth, outChannels], (engine, y) => {
    engine.dsconv({ ...call, y }, filter, activationBits ?? 0);
    if (outputFormat) engine.bfpRound(y, y, batch * outHeight * outWidth, outChannels, outputFormat);
  });
}

const kernelFunc = run as unknown as KernelFunc;

export const dsconvKernels: Omit<KernelConfig, 'backendName'>[] = [
  { kernelName: DSCONV2D, kernelFunc },
  { kernelName: DS_DEPTHWISE_CONV2D, kernelFunc },
];
