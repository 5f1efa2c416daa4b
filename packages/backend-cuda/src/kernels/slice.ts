/** `Slice`, `StridedSlice`, `Reverse`. */
import { Reverse, Slice, StridedSlice, slice_util, type TensorInfo, util } from '@tensorflow/tfjs-core';
import { type CudaBackend, type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { bytesPerElement, type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { MAX_RANK, mergeAxes, stridesOf } from './axes.js';
import { launchCopy } from './copy.js';

/** Every `step[axis]`th index of x from `begin[axis]` on, `size[axis]` of them; null where the axes are too many. */
function takeSteps(
  backend: CudaBackend,
  x: TensorInfo & { dtype: DeviceDataType },
  begin: readonly number[],
  size: readonly number[],
  step: readonly number[],
): TensorInfo | null {
  const xStrides = stridesOf(x.shape);
  const yStrides = stridesOf(size);
  const axes = size.map((length, axis) => ({
    size: length,
    strides: [xStrides[axis]! * step[axis]!, yStrides[axis]!],
  }));
  if (axes.length === 0) axes.push({ size: 1, strides: [1, 1] });
  if (mergeAxes(axes).length > MAX_RANK) return null;
  const bytes = bytesPerElement(x.dtype);
  const first = begin.reduce((at, index, axis) => at + index * xStrides[axis]!, 0);
  return backend.make(size, x.dtype, (y) =>
    launchCopy(backend, { x: backend.tensor(x).address + bytes * first, y: y.address, bytes, axes }),
  );
}

type DeviceInfo = TensorInfo & { dtype: DeviceDataType };
const onDevice = (x: TensorInfo): x is DeviceInfo => isDeviceType(x.dtype);

/** A box of x; null where it stays with the CPU. */
export function takeBox(
  backend: CudaBackend,
  x: TensorInfo,
  begin: readonly number[],
  size: readonly number[],
): TensorInfo | null {
  if (!onDevice(x)) return null;
  return takeSteps(
    backend,
    x,
    begin,
    size,
    size.map(() => 1),
  );
}

interface StridedSliceAttributes {
  begin: number[];
  end: number[];
  strides: number[];
  beginMask: number;
  endMask: number;
  ellipsisMask: number;
  newAxisMask: number;
  shrinkAxisMask: number;
}

function stridedSlice(call: KernelArguments<StridedSliceAttributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const x = inputs.x!;
  const { begin, end, strides, beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attrs;
  const info = slice_util.sliceInfo(
    x.shape,
    begin,
    end,
    strides,
    beginMask,
    endMask,
    ellipsisMask,
    newAxisMask,
    shrinkAxisMask,
  );
  if (info.isIdentity) return backend.reshaped(x, info.finalShape);
  // Where the ends lie the other way round there is nothing.
  const size = slice_util
    .computeOutShape(info.begin, info.end, info.strides)
    .map((length) => Math.max(0, length));
  const taken = onDevice(x) ? takeSteps(backend, x, info.begin, size, info.strides) : null;
  return taken
    ? { ...taken, shape: info.finalShape }
    : runOnHost(StridedSlice, call as unknown as KernelArguments);
}

export const sliceKernels: readonly CudaKernel[] = [
  kernelConfig<{ begin: number | number[]; size: number | number[] }>(Slice, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const [begin, size] = slice_util.parseSliceParams(x as never, attrs.begin, attrs.size);
    slice_util.assertParamsValid(x as never, begin, size);
    return takeBox(backend, x, begin, size) ?? runOnHost(Slice, call as unknown as KernelArguments);
  }),
  kernelConfig<StridedSliceAttributes>(StridedSlice, stridedSlice),
  kernelConfig<{ dims: number | number[] }>(Reverse, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const { shape } = x;
    if (!onDevice(x)) return runOnHost(Reverse, call as unknown as KernelArguments);
    const dims = shape.length === 0 ? [] : util.parseAxisParam(attrs.dims, [...shape]);
    const turned = shape.map((_, axis) => dims.includes(axis));
    const begin = shape.map((size, axis) => (turned[axis] ? size - 1 : 0));
    const steps = turned.map((turn) => (turn ? -1 : 1));
    const reversed = takeSteps(backend, x, begin, shape, steps);
    return reversed ?? runOnHost(Reverse, call as unknown as KernelArguments);
  }),
];
