/** The kernels of the backend: one array for each module of kernels/. */
import type { CudaKernel } from './backend.js';
import { fallbackKernels } from './fallback.js';
import { batchNormKernels } from './kernels/batch-norm.js';
import { bfpKernels } from './kernels/bfp-round.js';
import { convKernels } from './kernels/conv2d.js';
import { convGradientKernels } from './kernels/conv2d-gradients.js';
import { depthwiseKernels } from './kernels/depthwise.js';
import { depthwiseGradientKernels } from './kernels/depthwise-gradients.js';
import { dsconvKernels } from './kernels/dsconv.js';
import { matMulKernels } from './kernels/mat-mul.js';
import { poolKernels } from './kernels/pool.js';
import { tensorKernels } from './kernels/tensor-kernels.js';

const own: readonly CudaKernel[] = [
  ...dsconvKernels,
  ...bfpKernels,
  ...convKernels,
  ...convGradientKernels,
  ...depthwiseKernels,
  ...depthwiseGradientKernels,
  ...matMulKernels,
  ...poolKernels,
  ...batchNormKernels,
  ...tensorKernels,
];

/** All of them, and TensorFlow.js's CPU kernels for what is missing. @throws Error when two modules claim a kernel */
export function allKernels(): CudaKernel[] {
  const names = new Set<string>();
  for (const { kernelName } of own) {
    if (names.has(kernelName))
      throw new Error(`kernel ${kernelName} is registered by two modules; expected one`);
    names.add(kernelName);
  }
  return [...own, ...fallbackKernels(names)];
}
