/** `Identity`, `Reshape`, `ExpandDims`: the same data. */
import { ExpandDims, Identity, Reshape, util } from '@tensorflow/tfjs-core';
import { type CudaKernel, kernelConfig } from '../backend.js';
import { product } from './axes.js';

export const reshapeKernels: readonly CudaKernel[] = [
  kernelConfig(Identity, ({ inputs, backend }) => backend.reshaped(inputs.x!, inputs.x!.shape)),
  kernelConfig<{ shape: number[] }>(Reshape, ({ inputs, backend, attrs }) => {
    const x = inputs.x!;
    const size = product(x.shape);
    const shape = util.inferFromImplicitShape(attrs.shape, size);
    util.assert(
      product(shape) === size,
      () => `shape is [${shape}] with ${product(shape)} elements; expected ${size}, as [${x.shape}] has`,
    );
    return backend.reshaped(x, shape);
  }),
  kernelConfig<{ dim: number }>(ExpandDims, ({ inputs, backend, attrs }) => {
    const x = inputs.input!;
    const rank = x.shape.length;
    util.assert(
      attrs.dim >= -(rank + 1) && attrs.dim <= rank,
      () => `dim is ${attrs.dim}; expected one from ${-(rank + 1)} to ${rank}`,
    );
    const at = attrs.dim < 0 ? rank + attrs.dim + 1 : attrs.dim;
    return backend.reshaped(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
  }),
];
