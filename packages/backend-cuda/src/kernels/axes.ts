/** Axes of tensors as kernels count with them: merged where they lie side by side, with multiplications that stand for divisions. */
import type { Launcher } from '../device/launch.js';
import type { DeviceDataType } from '../device/transfers.js';

/** Axes that a kernel can count with, after merging. */
export const MAX_RANK = 8;

/** Elements of one launch: what a kernel counts with 31 bits, with room for the last step of a grid. */
export const MAX_COUNT = 2 ** 30;

export const THREADS = 256;

/** Blocks of one multiprocessor at most; the threads of a grid take further elements in turn. */
const BLOCKS_PER_MULTIPROCESSOR = 32;

/** ElementType of kernels/params/elementwise.h. */
export const TYPE_CODE: Record<DeviceDataType, number> = { float32: 0, int32: 1, bool: 2 };

export const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);

/** Elements from one index of an axis to the next, for a tensor without gaps. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** The grid of a kernel whose threads take one of `items` after the other; nothing for none. */
export function gridFor(launcher: Launcher, items: number): readonly [number] {
  const most = launcher.device.info.multiprocessors * BLOCKS_PER_MULTIPROCESSOR;
  return [Math.min(Math.ceil(items / THREADS), most)];
}

/** One axis, with the stride of each operand along it in elements; 0 repeats the operand. */
export interface Axis {
  size: number;
  strides: readonly number[];
}

/** The fewest axes that visit the same elements in the same order, outermost first; at least one. Takes at least one. */
export function mergeAxes(axes: readonly Axis[]): Axis[] {
  const merged: Axis[] = [];
  for (const axis of axes) {
    if (axis.size === 1) continue;
    const outer = merged.at(-1);
    if (outer?.strides.every((stride, n) => stride === axis.size * axis.strides[n]!)) {
      merged[merged.length - 1] = { size: outer.size * axis.size, strides: axis.strides };
    } else {
      merged.push(axis);
    }
  }
  return merged.length > 0 ? merged : [{ size: 1, strides: axes[0]!.strides.map(() => 1) }];
}

/** Part of a walk along axes that one launch can do, and where each operand starts. */
export interface Piece {
  axes: readonly Axis[];
  offsets: readonly number[];
  count: number;
}

/** Cuts a walk into pieces of at most `limit` elements, along the outermost axes. */
export function piecesOf(axes: readonly Axis[], limit = MAX_COUNT): Piece[] {
  const [outer, ...rest] = axes as [Axis, ...Axis[]];
  const inner = product(rest.map(({ size }) => size));
  const count = outer.size * inner;
  if (count <= limit) return [{ axes, offsets: outer.strides.map(() => 0), count }];
  const moved = (offsets: readonly number[], index: number) =>
    offsets.map((offset, n) => offset + index * outer.strides[n]!);
  if (inner > limit) {
    const within = piecesOf(rest, limit);
    return Array.from({ length: outer.size }, (_, index) =>
      within.map((piece) => ({ ...piece, offsets: moved(piece.offsets, index) })),
    ).flat();
  }
  const step = Math.floor(limit / inner);
  return Array.from({ length: Math.ceil(outer.size / step) }, (_, n) => {
    const size = Math.min(step, outer.size - n * step);
    return {
      axes: [{ ...outer, size }, ...rest],
      offsets: moved(
        outer.strides.map(() => 0),
        n * step,
      ),
      count: size * inner,
    };
  });
}

/** The least power of two that is no less than `value`. */
export const powerOfTwo = (value: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, value)));

/** Fields of a kernel's struct that say how to find the index along each axis. */
export interface CountingFields {
  rank: number;
  size: number[];
  multiplier: number[];
  shift: number[];
}

/** Values for each of MAX_RANK axes; those that are not there get a 0. */
export const padded = (values: readonly number[]): number[] =>
  Array.from({ length: MAX_RANK }, (_, axis) => values[axis] ?? 0);

/**
 * floor(n / size) = floor(n * multiplier / 2^shift) for 0 <= n < 2^31: with shift = 31 + l, 2^l >= size, the multiplier is 2^shift / size rounded up, below 2^32, and too large by less than
 * 2^l / 2^shift of itself, which n cannot bring to a whole (Granlund and Montgomery, 1994).
 */
export function countingFields(sizes: readonly number[]): CountingFields {
  const shifts = sizes.map((size) => 31 + Math.ceil(Math.log2(size)));
  const multipliers = sizes.map((size, axis) => {
    const one = 1n << BigInt(shifts[axis]!);
    return Number((one + BigInt(size) - 1n) / BigInt(size));
  });
  return {
    rank: sizes.length,
    size: padded(sizes),
    multiplier: padded(multipliers),
    shift: padded(shifts),
  };
}
