/** Kernels `DSConv2D` and `DSDepthwiseConv2D`. */
import { DS_DEPTHWISE_CONV2D, DSCONV2D, type DSConvAttributes } from '@dsconv/core';
import type { KernelConfig, KernelFunc, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import type { DSConvCpuBackend } from '../backend.js';
import { dsconv2dJs } from '../js/dsconv.js';
import { convolutionCall } from './call.js';

interface Arguments {
  inputs: NamedTensorInfoMap;
  backend: DSConvCpuBackend;
  attrs: DSConvAttributes;
}

function run(args: Arguments): TensorInfo {
  return args.backend.heap ? runInHeap(args) : dsconv2dJs(args.inputs, args.backend, args.attrs);
}

function runInHeap({ inputs, backend, attrs }: Arguments): TensorInfo {
  const heap = backend.heap!;
  const { filter, geometry: g, outputFormat } = attrs;
  const depthwise = filter.kind === 'depthwise';
  const packed = backend.filters!.get(filter, depthwise ? 1 : g.groups);
  const pointers = {
    x: backend.pointer(inputs.x),
    bias: backend.pointer(inputs.bias),
    residual: backend.pointer(inputs.residual),
    alphas: backend.pointer(inputs.preluActivationWeights),
  };
  const { info, ptr: y } = backend.heapTensor([g.batch, g.outHeight, g.outWidth, g.outChannels]);
  const call = convolutionCall(heap, {
    ...pointers,
    geometry: g,
    filter: packed,
    y,
    activation: attrs.activation,
    leakyreluAlpha: attrs.leakyreluAlpha,
    mantissa: attrs.activationBits ?? 0,
    multiplier: depthwise ? filter.shape[3] : 0,
    block: filter.blockSize,
  });
  try {
    const { dsconv2d, ds_depthwise, bfp_round } = heap.exports;
    if (depthwise) heap.check(ds_depthwise(call), DS_DEPTHWISE_CONV2D);
    else heap.check(dsconv2d(call), DSCONV2D);
    if (outputFormat) {
      const pixels = g.batch * g.outHeight * g.outWidth;
      const { groups, blockSize, bits } = outputFormat;
      heap.check(bfp_round(y, y, pixels, g.outChannels, groups, blockSize, bits), 'outputFormat');
    }
  } catch (error) {
    backend.disposeData(info.dataId);
    throw error;
  }
  return info;
}

const kernelFunc = run as unknown as KernelFunc;

export const dsconvKernels: Omit<KernelConfig, 'backendName'>[] = [
  { kernelName: DSCONV2D, kernelFunc },
  { kernelName: DS_DEPTHWISE_CONV2D, kernelFunc },
];
