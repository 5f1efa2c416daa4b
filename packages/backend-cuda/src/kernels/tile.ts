/** `Tile`, which `tf.broadcastTo` and `tf.where` use as well. */
import { type TensorInfo, Tile } from '@tensorflow/tfjs-core';
import { type CudaBackend, type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { bytesPerElement, type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { type Axis, MAX_RANK, mergeAxes, stridesOf } from './axes.js';
import { launchCopy } from './copy.js';

/** Every axis of the result is two: which repetition, and where in it. */
function tileAxes(shape: readonly number[], reps: readonly number[]): Axis[] {
  const xStrides = stridesOf(shape);
  const yStrides = stridesOf(shape.map((size, axis) => size * reps[axis]!));
  const axes = shape.flatMap((size, axis) => [
    { size: reps[axis]!, strides: [0, size * yStrides[axis]!] },
    { size, strides: [xStrides[axis]!, yStrides[axis]!] },
  ]);
  return axes.length > 0 ? axes : [{ size: 1, strides: [1, 1] }];
}

function tile(
  backend: CudaBackend,
  x: TensorInfo,
  dtype: DeviceDataType,
  reps: readonly number[],
): TensorInfo {
  const axes = tileAxes(x.shape, reps);
  const isEmpty = axes.some(({ size }) => size === 0);
  if (!isEmpty && mergeAxes(axes).length > MAX_RANK) {
    // Repeated along the last axes first, where there are too many at once.
    const half = Math.floor(x.shape.length / 2);
    const inner = tile(
      backend,
      x,
      dtype,
      reps.map((times, axis) => (axis < half ? 1 : times)),
    );
    try {
      return tile(
        backend,
        inner,
        dtype,
        reps.map((times, axis) => (axis < half ? times : 1)),
      );
    } finally {
      backend.disposeData(inner.dataId);
    }
  }
  const shape = x.shape.map((size, axis) => size * reps[axis]!);
  return backend.make(shape, dtype, (y) =>
    launchCopy(backend, { x: backend.tensor(x).address, y: y.address, bytes: bytesPerElement(dtype), axes }),
  );
}

export const tileKernels: readonly CudaKernel[] = [
  kernelConfig<{ reps: number[] }>(Tile, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const { dtype } = x;
    if (!isDeviceType(dtype)) return runOnHost(Tile, call as unknown as KernelArguments);
    return tile(backend, x, dtype, attrs.reps);
  }),
];
