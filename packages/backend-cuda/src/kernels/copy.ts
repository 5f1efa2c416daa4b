/** Copies between tensors that are walked through in some order, on which most kernels that only move elements rest. */
import type { Launcher } from '../device/launch.js';
import { packCopyStrided } from '../device/params.js';
import {
  type Axis,
  countingFields,
  gridFor,
  MAX_COUNT,
  mergeAxes,
  padded,
  piecesOf,
  THREADS,
} from './axes.js';

/** Bytes that the kernels copy at once, most first. */
const UNITS = [16, 4, 1] as const;

export interface CopyCall {
  /** Device addresses of the elements at index 0 of every axis. */
  x: number;
  y: number;
  /** Of an element, 1 or 4. */
  bytes: number;
  /** Strides of x and y in elements; those of x may be 0 or negative. At most MAX_RANK axes after merging. */
  axes: readonly Axis[];
}

/**
 * The largest unit in which runs of elements can be copied: they lie side by side on both sides, and every run starts at a multiple of it.
 *
 * @returns bytes, and the axes with sizes and strides in that unit
 */
export function inUnits(
  bytes: number,
  axes: readonly Axis[],
  addresses: readonly number[],
): { unit: number; axes: readonly Axis[] } {
  const last = axes.at(-1)!;
  const outer = axes.slice(0, -1);
  for (const unit of UNITS) {
    if (unit <= bytes) break;
    const factor = unit / bytes;
    const fits =
      last.strides.every((stride) => stride === 1) &&
      last.size % factor === 0 &&
      outer.every(({ strides }) => strides.every((stride) => stride % factor === 0)) &&
      addresses.every((address) => address % unit === 0);
    if (!fits) continue;
    const scaled = outer.map(({ size, strides }) => ({
      size,
      strides: strides.map((stride) => stride / factor),
    }));
    return { unit, axes: [...scaled, { size: last.size / factor, strides: last.strides }] };
  }
  return { unit: bytes, axes };
}

/** y = x along the axes. */
export function launchCopy(launcher: Launcher, call: CopyCall, limit = MAX_COUNT): void {
  const { bytes } = call;
  if (call.axes.some(({ size }) => size === 0)) return;
  for (const piece of piecesOf(mergeAxes(call.axes), limit)) {
    const [x, y] = [call.x + bytes * piece.offsets[0]!, call.y + bytes * piece.offsets[1]!];
    const { unit, axes } = inUnits(bytes, piece.axes, [x, y]);
    const count = (piece.count * bytes) / unit;
    launcher.launch({
      kernel: `copy_strided_${unit}`,
      grid: gridFor(launcher, count),
      threads: THREADS,
      params: packCopyStrided({
        x,
        y,
        count,
        ...countingFields(axes.map(({ size }) => size)),
        xStride: padded(axes.map(({ strides }) => strides[0]!)),
        yStride: padded(axes.map(({ strides }) => strides[1]!)),
      }),
    });
  }
}
