/** `GatherV2`. */
import { backend_util, GatherV2, util } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packGather } from '../device/params.js';
import { bytesPerElement, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { gridFor, product, THREADS } from './axes.js';
import { inUnits } from './copy.js';

export interface GatherCall {
  /** Device addresses: [batch, outer, length, slice], int32 [batch, indexCount], [batch, outer, indexCount, slice]. */
  x: number;
  indices: number;
  y: number;
  /** Of an element of x and y, 1 or 4. */
  bytes: number;
  batch: number;
  outer: number;
  length: number;
  indexCount: number;
  slice: number;
}

/** Looks slices up; zeros where an index is out of range. */
export function launchGather(launcher: Launcher, call: GatherCall): void {
  const { x, indices, y, bytes, batch, outer, length, indexCount } = call;
  const { unit, axes } = inUnits(bytes, [{ size: call.slice, strides: [1, 1] }], [x, y]);
  const slice = axes[0]!.size;
  const count = batch * outer * indexCount * slice;
  if (count === 0) return;
  launcher.launch({
    kernel: `gather_${unit}`,
    grid: gridFor(launcher, count),
    threads: THREADS,
    params: packGather({ x, indices, y, count, batch, outer, length, indexCount, slice }),
  });
}

export const gatherKernels: readonly CudaKernel[] = [
  kernelConfig<{ axis: number; batchDims?: number }>(GatherV2, (call) => {
    const { inputs, backend, attrs } = call;
    const [x, indices] = [inputs.x!, inputs.indices!];
    const { dtype } = x;
    if (!isDeviceType(dtype) || indices.dtype !== 'int32') {
      return runOnHost(GatherV2, call as unknown as KernelArguments);
    }
    const axis = util.parseAxisParam(attrs.axis, [...x.shape])[0]!;
    const info = backend_util.segment_util.collectGatherOpShapeInfo(
      x as never,
      indices as never,
      axis,
      attrs.batchDims ?? 0,
    );
    return backend.make(info.outputShape, dtype, (y) =>
      launchGather(backend, {
        x: backend.tensor(x).address,
        indices: backend.tensor(indices).address,
        y: y.address,
        bytes: bytesPerElement(dtype),
        batch: info.batchSize,
        outer: info.outerSize,
        length: info.dimSize,
        indexCount: info.batchSize === 0 ? 0 : product(indices.shape) / info.batchSize,
        slice: info.sliceSize,
      }),
    );
  }),
];
