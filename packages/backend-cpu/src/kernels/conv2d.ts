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
import type { DSConvCpuBackend } from '../backend.js';
import { convolutionCall } from './call.js';
import { inHeap, type KernelArguments, runCpuKernel, sizeOf } from './fallback.js';

interface Inputs {
  x: TensorInfo;
  filter: TensorInfo;
  bias?: TensorInfo;
  preluActivationWeights?: TensorInfo;
}

/** The union of the four kernels' attributes. */
interface Attributes {
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
      inHeap(backend, x, filter, bias, slopes) &&
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
  const heap = backend.heap!;
  const { x, filter } = inputs;
  const g = geometryOf(x, filter, attrs, depthwise);
  const pointers = {
    x: backend.pointer(x),
    filter: depthwise ? backend.pointer(filter) : packedFilter(backend, filter),
    bias: backend.pointer(inputs.bias),
    alphas: backend.pointer(inputs.preluActivationWeights),
  };
  const { info, ptr: y } = backend.heapTensor([g.batch, g.outHeight, g.outWidth, g.outChannels]);
  const call = convolutionCall(heap, {
    ...pointers,
    geometry: g,
    y,
    residual: 0,
    activation,
    leakyreluAlpha: attrs.leakyreluAlpha ?? 0.2,
    multiplier: depthwise ? filter.shape[3]! : 0,
  });
  try {
    if (depthwise) heap.check(heap.exports.depthwise(call), 'depthwise convolution');
    else heap.check(heap.exports.conv2d(call), 'convolution');
  } catch (error) {
    backend.disposeData(info.dataId);
    throw error;
  }
  return info;
}

/** The filter in panels; made once per tensor, since tensors do not change. */
function packedFilter(backend: DSConvCpuBackend, filter: TensorInfo): number {
  const heap = backend.heap!;
  const entry = backend.entry(filter);
  const [kh, kw, depth, outputs] = filter.shape as [number, number, number, number];
  // The same values may be seen through a reshape with other dimensions.
  if (entry.packedFilter?.taps !== kh * kw) {
    const source = entry.pointer();
    const ptr = heap.alloc(heap.exports.conv2d_pack_bytes(kh * kw, depth, outputs, 1) >>> 0);
    heap.check(heap.exports.conv2d_pack(ptr, source, kh * kw, depth, outputs, 1), 'packing a filter');
    if (entry.packedFilter) heap.free(entry.packedFilter.ptr);
    entry.packedFilter = { ptr, taps: kh * kw };
  }
  return entry.packedFilter!.ptr;
}

function geometryOf(x: TensorInfo, filter: TensorInfo, attrs: Attributes, depthwise: boolean): ConvGeometry {
  const info = backend_util.computeConv2DInfo(
    x.shape as [number, number, number, number],
    filter.shape as [number, number, number, number],
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
    depthwise,
  );
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
