/** `Cast` between float32, int32 and bool. */
import { Cast, type DataType } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { launchUnary } from './unary.js';

export const castKernels: readonly CudaKernel[] = [
  kernelConfig<{ dtype: DataType }>(Cast, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const { dtype: xType } = x;
    const { dtype: yType } = attrs;
    if (xType === yType) return backend.reshaped(x, x.shape);
    if (!isDeviceType(xType) || !isDeviceType(yType)) {
      return runOnHost(Cast, call as unknown as KernelArguments);
    }
    return backend.make(x.shape, yType, (y) => {
      const { address, size } = backend.tensor(x);
      // A bool says whether something is not 0, NaN included.
      const operation = yType === 'bool' ? 'notZero' : 'copy';
      launchUnary(backend, { operation, x: address, y: y.address, count: size, xType, yType });
    });
  }),
];
