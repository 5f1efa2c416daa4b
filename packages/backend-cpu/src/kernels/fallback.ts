import { getKernel, type KernelFunc, type TensorInfo } from '@tensorflow/tfjs-core';
import type { DSConvCpuBackend } from '../backend.js';

/** Arguments TensorFlow.js hands to a kernel, with this backend's type. */
export interface KernelArguments<Inputs, Attributes = unknown> {
  inputs: Inputs;
  backend: DSConvCpuBackend;
  attrs: Attributes;
}

/** Runs TensorFlow.js's own CPU kernel on this backend's tensors. */
export function runCpuKernel(kernelName: string, args: KernelArguments<unknown>): TensorInfo {
  const kernel = getKernel(kernelName, 'cpu');
  return kernel.kernelFunc(args as unknown as Parameters<KernelFunc>[0]) as TensorInfo;
}

/** True when this tier's engine can serve the tensors: there is one, and all are float32. */
export function hasEngine(backend: DSConvCpuBackend, ...tensors: (TensorInfo | null | undefined)[]): boolean {
  return backend.engine !== null && tensors.every((tensor) => !tensor || tensor.dtype === 'float32');
}

export const sizeOf = (info: TensorInfo): number => info.shape.reduce((product, d) => product * d, 1);
