/** Float convolutions: `Conv2D`, `FusedConv2D`, `DepthwiseConv2dNative`, `FusedDepthwiseConv2D`. */
import { ACTIVATIONS, type Activation, type ConvAttributes, geometryOf } from '@dsconv/core';
import {
  Conv2D,
  DepthwiseConv2dNative,
  FusedConv2D,
  FusedDepthwiseConv2D,
  type KernelConfig,
  type KernelFunc,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { hasEngine, type KernelArguments, runCpuKernel, sizeOf } from './fallback.js';

interface Inputs {
  x: TensorInfo;
  filter: TensorInfo;
  bias?: TensorInfo;
  preluActivationWeights?: TensorInfo;
}

type Arguments = KernelArguments<Inputs, ConvAttributes>;

function kernel(kernelName: string, depthwise: boolean): Omit<KernelConfig, 'backendName'> {
  const run = (args: Arguments): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { x, filter, bias, preluActivationWeights: slopes } = inputs;
    const outputs = depthwise ? filter.shape[2]! * filter.shape[3]! : filter.shape[3]!;
    const activation = attrs.activation ?? 'linear';
    const served =
      hasEngine(backend, x, filter, bias, slopes) &&
      (attrs.dataFormat ?? 'NHWC') === 'NHWC' &&
      ACTIVATIONS.includes(activation as Activation) &&
      (!bias || sizeOf(bias) === outputs) &&
      (!slopes || sizeOf(slopes) === outputs);
    return served ? convolve(args, depthwise, activation as Activation) : runCpuKernel(kernelName, args);
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

function convolve(
  { inputs, backend, attrs }: Arguments,
  depthwise: boolean,
  activation: Activation,
): TensorInfo {
  const { x, filter } = inputs;
  const geometry = geometryOf(x, filter, attrs, depthwise);
  const call = {
    geometry,
    x: backend.operand(x),
    bias: backend.operand(inputs.bias),
    residual: null,
    slopes: backend.operand(inputs.preluActivationWeights),
    activation,
    leakyreluAlpha: attrs.leakyreluAlpha ?? 0.2,
  };
  const { batch, outHeight, outWidth, outChannels } = geometry;
  return backend.fill([batch, outHeight, outWidth, outChannels], (engine, y) => {
    if (depthwise) engine.depthwise({ ...call, y }, backend.entry(filter), filter.shape[3]!);
    else engine.conv2d({ ...call, y }, backend.entry(filter));
  });
}

export const convKernels = [
  kernel(Conv2D, false),
  kernel(FusedConv2D, false),
  kernel(DepthwiseConv2dNative, true),
  kernel(FusedDepthwiseConv2D, true),
];
