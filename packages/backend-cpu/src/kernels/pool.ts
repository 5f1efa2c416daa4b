/** `MaxPool`, `AvgPool`, and `Mean` over height and width. */
import {
  AvgPool,
  backend_util,
  type KernelConfig,
  type KernelFunc,
  MaxPool,
  Mean,
  type TensorInfo,
  util,
} from '@tensorflow/tfjs-core';
import { inHeap, type KernelArguments, runCpuKernel } from './fallback.js';

interface PoolAttributes {
  filterSize: number | [number, number];
  strides: number | [number, number];
  pad: 'same' | 'valid' | number | backend_util.ExplicitPadding;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

function poolKernel(kernelName: string, which: 'max_pool' | 'avg_pool'): Omit<KernelConfig, 'backendName'> {
  const run = (args: KernelArguments<{ x: TensorInfo }, PoolAttributes>): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { x } = inputs;
    if (!inHeap(backend, x)) return runCpuKernel(kernelName, args);
    const { filterSize, strides, pad, dimRoundingMode } = attrs;
    const shape = x.shape as [number, number, number, number];
    const g = backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode);
    const source = backend.pointer(x);
    const { info, ptr } = backend.heapTensor(g.outShape);
    backend.heap!.exports[which](
      source,
      ptr,
      g.batchSize,
      g.inHeight,
      g.inWidth,
      g.inChannels,
      g.outHeight,
      g.outWidth,
      g.filterHeight,
      g.filterWidth,
      g.strideHeight,
      g.strideWidth,
      1,
      1,
      g.padInfo.top,
      g.padInfo.left,
    );
    return info;
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

function mean(
  args: KernelArguments<{ x: TensorInfo }, { axis: number | number[]; keepDims: boolean }>,
): TensorInfo {
  const { inputs, backend, attrs } = args;
  const { x } = inputs;
  const axes = util.parseAxisParam(attrs.axis, x.shape);
  const overImage = x.shape.length === 4 && axes.length === 2 && axes.includes(1) && axes.includes(2);
  if (!overImage || !inHeap(backend, x)) return runCpuKernel(Mean, args);
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const source = backend.pointer(x);
  const { info, ptr } = backend.heapTensor(attrs.keepDims ? [batch, 1, 1, channels] : [batch, channels]);
  backend.heap!.exports.mean_hw(source, ptr, batch, height * width, channels);
  return info;
}

export const poolKernels: Omit<KernelConfig, 'backendName'>[] = [
  poolKernel(MaxPool, 'max_pool'),
  poolKernel(AvgPool, 'avg_pool'),
  { kernelName: Mean, kernelFunc: mean as unknown as KernelFunc },
];
