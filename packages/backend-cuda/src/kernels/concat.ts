/** `Concat`, `Pack`, and what takes apart: `SplitV`, `Unpack`. */
import { backend_util, Concat, Pack, SplitV, type TensorInfo, Unpack, util } from '@tensorflow/tfjs-core';
import { type CudaBackend, type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { bytesPerElement, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { product } from './axes.js';
import { launchCopy } from './copy.js';
import { takeBox } from './slice.js';

export interface ConcatCall {
  /** Device addresses of [rows, widths[n]] each. */
  inputs: readonly number[];
  widths: readonly number[];
  /** [rows, the sum of the widths]. */
  y: number;
  rows: number;
  /** Of an element, 1 or 4. */
  bytes: number;
}

/** Puts rows side by side. */
export function launchConcat(launcher: Launcher, { inputs, widths, y, rows, bytes }: ConcatCall): void {
  const width = widths.reduce((sum, each) => sum + each, 0);
  let offset = 0;
  inputs.forEach((x, n) => {
    const own = widths[n]!;
    const axes = [
      { size: rows, strides: [own, width] },
      { size: own, strides: [1, 1] },
    ];
    launchCopy(launcher, { x, y: y + bytes * offset, bytes, axes });
    offset += own;
  });
}

/** Null where it stays with the CPU. */
function concatenated(backend: CudaBackend, tensors: readonly TensorInfo[], axis: number): TensorInfo | null {
  const first = tensors[0]!;
  const { dtype } = first;
  if (!isDeviceType(dtype) || tensors.some((tensor) => tensor.dtype !== dtype)) return null;
  const shape = backend_util.computeOutShape(
    tensors.map((tensor) => [...tensor.shape]),
    axis,
  );
  // A tensor without elements may be of any shape there.
  const parts = tensors.filter((tensor) => product(tensor.shape) > 0);
  if (product(shape) > 0 && parts.length === 1) return backend.reshaped(parts[0]!, parts[0]!.shape);
  return backend.make(shape, dtype, (y) =>
    launchConcat(backend, {
      inputs: parts.map((part) => backend.tensor(part).address),
      widths: parts.map((part) => product(part.shape.slice(axis))),
      y: y.address,
      rows: product(shape.slice(0, axis)),
      bytes: bytesPerElement(dtype),
    }),
  );
}

function concat(call: KernelArguments<{ axis: number }>): TensorInfo | TensorInfo[] {
  const { backend, attrs } = call;
  const tensors = call.inputs as unknown as TensorInfo[];
  const shapes = tensors.map((tensor) => [...tensor.shape]);
  const axis = util.parseAxisParam(attrs.axis, shapes[0]!)[0]!;
  backend_util.assertParamsConsistent(shapes, axis);
  return concatenated(backend, tensors, axis) ?? runOnHost(Concat, call as unknown as KernelArguments);
}

function pack(call: KernelArguments<{ axis: number }>): TensorInfo | TensorInfo[] {
  const { backend, attrs } = call;
  const tensors = call.inputs as unknown as TensorInfo[];
  const { shape, dtype } = tensors[0]!;
  for (const tensor of tensors) {
    util.assertShapesMatch(shape, tensor.shape, 'All tensors passed to stack must have matching shapes');
    util.assert(tensor.dtype === dtype, () => 'All tensors passed to stack must have matching dtypes');
  }
  const axis = attrs.axis < 0 ? attrs.axis + shape.length + 1 : attrs.axis;
  const raised = [...shape.slice(0, axis), 1, ...shape.slice(axis)];
  const parts = tensors.map((tensor) => ({ ...tensor, shape: raised }));
  return concatenated(backend, parts, axis) ?? runOnHost(Pack, call as unknown as KernelArguments);
}

/** Pieces of these lengths along an axis; null where they stay with the CPU. */
function pieces(
  backend: CudaBackend,
  x: TensorInfo,
  lengths: readonly number[],
  axis: number,
): TensorInfo[] | null {
  if (!isDeviceType(x.dtype)) return null;
  const made: TensorInfo[] = [];
  let from = 0;
  try {
    for (const length of lengths) {
      const begin = x.shape.map((_, n) => (n === axis ? from : 0));
      const size = x.shape.map((each, n) => (n === axis ? length : each));
      const piece = takeBox(backend, x, begin, size);
      if (piece === null) break;
      made.push(piece);
      from += length;
    }
  } catch (error) {
    for (const { dataId } of made) backend.disposeData(dataId);
    throw error;
  }
  if (made.length === lengths.length) return made;
  for (const { dataId } of made) backend.disposeData(dataId);
  return null;
}

export const concatKernels: readonly CudaKernel[] = [
  kernelConfig<{ axis: number }>(Concat, concat),
  kernelConfig<{ axis: number }>(Pack, pack),
  kernelConfig<{ numOrSizeSplits: number[] | number; axis: number }>(SplitV, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const axis = util.parseAxisParam(attrs.axis, [...x.shape])[0]!;
    const lengths = backend_util.prepareSplitSize(x as never, attrs.numOrSizeSplits, axis);
    return pieces(backend, x, lengths, axis) ?? runOnHost(SplitV, call as unknown as KernelArguments);
  }),
  kernelConfig<{ axis: number }>(Unpack, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.value!;
    const axis = attrs.axis < 0 ? attrs.axis + x.shape.length : attrs.axis;
    const ones = new Array<number>(x.shape[axis]!).fill(1);
    const shape = x.shape.filter((_, n) => n !== axis);
    const taken = pieces(backend, x, ones, axis);
    return (
      taken?.map((piece) => ({ ...piece, shape })) ?? runOnHost(Unpack, call as unknown as KernelArguments)
    );
  }),
];
