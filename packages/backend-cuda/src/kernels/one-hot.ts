/** `OneHot`. */
import { type DataType, OneHot } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { packOneHot } from '../device/params.js';
import { bytesPerElement, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { gridFor, THREADS } from './axes.js';
import { elementBits } from './fill.js';

interface OneHotAttributes {
  depth: number;
  onValue: number;
  offValue: number;
  dtype?: DataType;
}

export const oneHotKernels: readonly CudaKernel[] = [
  kernelConfig<OneHotAttributes>(OneHot, (call) => {
    const { inputs, backend, attrs } = call;
    const indices = inputs.indices!;
    const { depth, onValue, offValue, dtype = 'int32' } = attrs;
    if (!isDeviceType(dtype) || indices.dtype !== 'int32') {
      return runOnHost(OneHot, call as unknown as KernelArguments);
    }
    return backend.make([...indices.shape, depth], dtype, (y) => {
      if (y.size === 0) return;
      backend.launch({
        kernel: 'one_hot',
        grid: gridFor(backend, y.size),
        threads: THREADS,
        params: packOneHot({
          indices: backend.tensor(indices).address,
          y: y.address,
          count: y.size,
          depth,
          bytes: bytesPerElement(dtype),
          on: elementBits(onValue, dtype),
          off: elementBits(offValue, dtype),
        }),
      });
    });
  }),
];
