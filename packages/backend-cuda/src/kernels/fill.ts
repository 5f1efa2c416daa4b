/** `Fill`, `ZerosLike`, `OnesLike`. */
import { type DataType, Fill, OnesLike, util, ZerosLike } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { floatBits, type Launcher } from '../device/launch.js';
import { packFill } from '../device/params.js';
import { bytesPerElement, type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { gridFor, MAX_COUNT, piecesOf, THREADS } from './axes.js';

/** Bits of a number as the element of a typed array of that type: four bytes of a float32 or int32, one of a bool. */
export function elementBits(value: number, dtype: DeviceDataType): number {
  if (dtype === 'float32') return floatBits(value);
  return dtype === 'int32' ? value >>> 0 : value & 0xff;
}

/** Writes `value` to `count` elements, as a typed array would store it. */
export function launchFill(
  launcher: Launcher,
  y: number,
  count: number,
  value: number,
  dtype: DeviceDataType,
  limit = MAX_COUNT,
): void {
  if (count === 0) return;
  const bytes = bytesPerElement(dtype);
  for (const piece of piecesOf([{ size: count, strides: [bytes] }], limit)) {
    launcher.launch({
      kernel: 'fill',
      grid: gridFor(launcher, piece.count),
      threads: THREADS,
      params: packFill({
        y: y + piece.offsets[0]!,
        count: piece.count,
        bytes,
        bits: elementBits(value, dtype),
      }),
    });
  }
}

interface FillAttributes {
  shape: number[];
  value: string | number;
  dtype?: DataType;
}

function likeKernel(kernelName: string, value: number): CudaKernel {
  return kernelConfig(kernelName, (call) => {
    const x = call.inputs.x!;
    const { dtype } = x;
    if (!isDeviceType(dtype)) return runOnHost(kernelName, call);
    const { backend } = call;
    return backend.make(x.shape, dtype, (y) => launchFill(backend, y.address, y.size, value, dtype));
  });
}

export const fillKernels: readonly CudaKernel[] = [
  kernelConfig<FillAttributes>(Fill, (call) => {
    const { backend, attrs } = call;
    const { shape, value } = attrs;
    const dtype = attrs.dtype ?? util.inferDtype(value);
    if (!isDeviceType(dtype)) return runOnHost(Fill, call as unknown as KernelArguments);
    return backend.make(shape, dtype, (y) => launchFill(backend, y.address, y.size, Number(value), dtype));
  }),
  likeKernel(ZerosLike, 0),
  likeKernel(OnesLike, 1),
];
