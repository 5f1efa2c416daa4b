/** `Transpose`, and `SpaceToBatchND` and `BatchToSpaceND`, which are one with borders or cuts. */
import {
  BatchToSpaceND,
  backend_util,
  SpaceToBatchND,
  slice_util,
  type TensorInfo,
  Transpose,
} from '@tensorflow/tfjs-core';
import { type CudaBackend, type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packTranspose } from '../device/params.js';
import { bytesPerElement, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { type Axis, MAX_COUNT, MAX_RANK, mergeAxes, piecesOf, product, stridesOf, THREADS } from './axes.js';
import { launchCopy } from './copy.js';
import { padTensor } from './pad.js';
import { takeBox } from './slice.js';

/** Along either axis of a block's tile. */
const TILE = 32;

/** Below so many rows or columns a tile would be mostly empty. */
const LEAST = 8;

export interface TransposeCall {
  /** Device addresses. */
  x: number;
  y: number;
  /** Of an element, 1 or 4. */
  bytes: number;
  /** The axes of y, outermost first: the stride of x in elements along each. At most MAX_RANK after merging. */
  axes: readonly Axis[];
}

/** Axes of y with the strides of x and y. */
export function transposeAxes(shape: readonly number[], permutation: readonly number[]): Axis[] {
  const xStrides = stridesOf(shape);
  const sizes = permutation.map((axis) => shape[axis]!);
  const yStrides = stridesOf(sizes);
  const axes = sizes.map((size, n) => ({ size, strides: [xStrides[permutation[n]!]!, yStrides[n]!] }));
  return axes.length > 0 ? axes : [{ size: 1, strides: [1, 1] }];
}

/** A batch of matrices whose rows become columns, if the axes are no more than that. */
function matricesOf(axes: readonly Axis[]): { batch: number; rows: number; columns: number } | null {
  if (axes.length !== 2 && axes.length !== 3) return null;
  const [columns, rows] = axes.slice(-2) as [Axis, Axis];
  const [batch] = axes.length === 3 ? axes : [{ size: 1, strides: [rows.size * columns.size] }];
  const isMatrix =
    columns.strides[0] === 1 &&
    rows.strides[0] === columns.size &&
    batch!.strides[0] === rows.size * columns.size &&
    Math.min(rows.size, columns.size) >= LEAST;
  return isMatrix ? { batch: batch!.size, rows: rows.size, columns: columns.size } : null;
}

/** Permutes axes: in tiles where rows and columns change places, else element by element. */
export function launchTranspose(
  launcher: Launcher,
  { x, y, bytes, axes }: TransposeCall,
  limit = MAX_COUNT,
): void {
  if (axes.some(({ size }) => size === 0)) return;
  const merged = mergeAxes(axes);
  if (matricesOf(merged) === null) {
    launchCopy(launcher, { x, y, bytes, axes: merged }, limit);
    return;
  }
  // Only the batch is cut: a matrix of more elements than a launch should have is one all the same.
  const matrix = product(merged.slice(-2).map(({ size }) => size));
  for (const piece of piecesOf(merged, Math.max(limit, matrix))) {
    const { batch, rows, columns } = matricesOf(mergeAxes(piece.axes))!;
    const [rowTiles, columnTiles] = [Math.ceil(rows / TILE), Math.ceil(columns / TILE)];
    launcher.launch({
      kernel: `transpose_${bytes}`,
      grid: [batch * rowTiles * columnTiles],
      threads: THREADS,
      params: packTranspose({
        x: x + bytes * piece.offsets[0]!,
        y: y + bytes * piece.offsets[1]!,
        batch,
        rows,
        columns,
        rowTiles,
        columnTiles,
      }),
    });
  }
}

/** Null where it stays with the CPU. */
export function transposed(
  backend: CudaBackend,
  x: TensorInfo,
  permutation: readonly number[],
): TensorInfo | null {
  const { dtype } = x;
  if (!isDeviceType(dtype)) return null;
  const axes = transposeAxes(x.shape, permutation);
  if (mergeAxes(axes).length > MAX_RANK) return null;
  const shape = permutation.map((axis) => x.shape[axis]!);
  return backend.make(shape, dtype, (y) =>
    launchTranspose(backend, {
      x: backend.tensor(x).address,
      y: y.address,
      bytes: bytesPerElement(dtype),
      axes,
    }),
  );
}

interface BlockAttributes {
  blockShape: number[];
  paddings: [number, number][];
  crops: number[][];
}

function spaceToBatch(call: KernelArguments<BlockAttributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const x = inputs.x!;
  const { blockShape, paddings } = attrs;
  const blocks = product(blockShape);
  const all = x.shape.map((_, axis): [number, number] => paddings[axis - 1] ?? [0, 0]);
  const bordered = padTensor(backend, x, all, 'constant', 0);
  if (bordered === null) return runOnHost(SpaceToBatchND, call as unknown as KernelArguments);
  const apart = backend_util.getReshaped(bordered.shape, blockShape, blocks, false);
  const permutation = backend_util.getPermuted(apart.length, blockShape.length, false);
  const shape = backend_util.getReshapedPermuted(bordered.shape, blockShape, blocks, false);
  try {
    const moved = transposed(backend, { ...bordered, shape: apart }, permutation);
    return moved ? { ...moved, shape } : runOnHost(SpaceToBatchND, call as unknown as KernelArguments);
  } finally {
    backend.disposeData(bordered.dataId);
  }
}

function batchToSpace(call: KernelArguments<BlockAttributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const x = inputs.x!;
  const { blockShape, crops } = attrs;
  const blocks = product(blockShape);
  const apart = backend_util.getReshaped(x.shape, blockShape, blocks);
  const permutation = backend_util.getPermuted(apart.length, blockShape.length);
  const shape = backend_util.getReshapedPermuted(x.shape, blockShape, blocks);
  // Of the axes after the blocks everything is taken.
  const [begin, size] = slice_util.parseSliceParams(
    { shape, rank: shape.length } as never,
    backend_util.getSliceBeginCoords(crops, blockShape.length),
    backend_util.getSliceSize(shape, crops, blockShape.length),
  );
  const moved = transposed(backend, { ...x, shape: apart }, permutation);
  if (moved === null) return runOnHost(BatchToSpaceND, call as unknown as KernelArguments);
  try {
    return takeBox(backend, { ...moved, shape }, begin, size)!;
  } finally {
    backend.disposeData(moved.dataId);
  }
}

export const transposeKernels: readonly CudaKernel[] = [
  kernelConfig<{ perm: number[] }>(Transpose, (call) => {
    const { inputs, backend, attrs } = call;
    return (
      transposed(backend, inputs.x!, attrs.perm) ?? runOnHost(Transpose, call as unknown as KernelArguments)
    );
  }),
  kernelConfig<BlockAttributes>(SpaceToBatchND, spaceToBatch),
  kernelConfig<BlockAttributes>(BatchToSpaceND, batchToSpace),
];
