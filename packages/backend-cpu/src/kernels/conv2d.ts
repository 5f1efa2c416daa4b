/** Float convolutions: `Conv2D`, `FusedConv2D`, `DepthwiseConv2dNative`, `FusedDepthwiseConv2D`. */
import type { Activation } from '@dsconv/core';
import { ACTIVATIONS, type ConvGeometry } from '@dsconv/core';
import {
  backend_util,
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

/** The union of the four kernels' attributes. */
export interface Attributes {
  strides: number | [number, number];
  pad: 'same' | 'valid' | number | backend_util.ExplicitPadding;
  dilations?: number | [number, number];
  dataFormat?: string;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  activation?: string;
  leakyreluAlpha?: number;
}

type Arguments = KernelArguments<Inputs, Attributes>;

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

/** Resolves a stock convolution's attributes. */
export function geometryOf(
  x: { readonly shape: readonly number[] },
  filter: { readonly shape: readonly number[] },
  attrs: Attributes,
  depthwise: boolean,
): ConvGeometry {
  const info = backend_util.computeConv2DInfo(
    [...x.shape] as [number, number, number, number],
    [...filter.shape] as [number, number, number, number],
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
    depthwise,
  );
  return geometryFrom(info);
}

/** TensorFlow.js's description of a window as ours. */
export function geometryFrom(info: backend_util.Conv2DInfo): ConvGeometry {
  return {
    batch: info.batchSize,
    inHeight: info.inHeight,
    inWidth: info.inWidth,
    inChannels: info.inChannels,
    outHeight: info.outHeight,
    outWidth: info.outWidth,
    outChannels: info.outChannels,
    kernelHeight: info.filterHeight,
    kernelWidth: info.filterWidth,
    strideHeight: info.strideHeight,
    strideWidth: info.strideWidth,
    dilationHeight: info.dilationHeight,
    dilationWidth: info.dilationWidth,
    padTop: info.padInfo.top,
    padBottom: info.padInfo.bottom,
    padLeft: info.padInfo.left,
    padRight: info.padInfo.right,
    groups: 1,
  };
}

export const convKernels = [
  kernel(Conv2D, false),
  kernel(FusedConv2D, false),
  kernel(DepthwiseConv2dNative, true),
  kernel(FusedDepthwiseConv2D, true),
];
