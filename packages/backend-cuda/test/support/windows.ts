/** Random windows of convolutions and pools, as TensorFlow.js takes them. */
import { backend_util } from '@tensorflow/tfjs-core';
import fc from 'fast-check';

export interface Window {
  batch: number;
  height: number;
  width: number;
  kernel: [number, number];
  strides: [number, number];
  dilations: [number, number];
  pad: 'same' | 'valid' | number | [[0, 0], [number, number], [number, number], [0, 0]];
  rounding: 'floor' | 'round' | 'ceil' | undefined;
}

const upTo = (most: number) => fc.integer({ min: 1, max: most });
const border = fc.integer({ min: 0, max: 2 });

const padding = fc.oneof(
  fc.constantFrom('same' as const, 'valid' as const),
  border,
  fc.tuple(border, border, border, border).map(
    ([top, bottom, left, right]) =>
      [
        [0, 0],
        [top, bottom],
        [left, right],
        [0, 0],
      ] as Window['pad'],
  ),
);

/** Whether there is an output, and TensorFlow.js allows the combination. */
export function possible(w: Window): boolean {
  const strided = w.strides.some((s) => s > 1);
  const dilated = w.dilations.some((d) => d > 1);
  if (strided && dilated) return false;
  const info = backend_util.computeConv2DInfo(
    [w.batch, w.height, w.width, 1],
    [...w.kernel, 1, 1],
    w.strides,
    w.dilations,
    w.pad,
    w.rounding,
  );
  return info.outHeight > 0 && info.outWidth > 0;
}

/** Windows with strides or dilations. */
export const windows: fc.Arbitrary<Window> = fc
  .record({
    batch: upTo(2),
    height: upTo(9),
    width: upTo(9),
    kernel: fc.tuple(upTo(4), upTo(4)),
    strides: fc.tuple(upTo(3), upTo(3)),
    dilations: fc.oneof(
      { weight: 3, arbitrary: fc.constant([1, 1] as [number, number]) },
      fc.tuple(upTo(3), upTo(3)),
    ),
    pad: padding,
    // Sizes that do not come out even are an error without it.
    rounding: fc.constantFrom('floor' as const, 'ceil' as const),
  })
  .map((w): Window => {
    const dilated = w.dilations.some((d) => d > 1);
    return {
      ...w,
      strides: dilated ? [1, 1] : w.strides,
      rounding: typeof w.pad === 'string' ? undefined : w.rounding,
    };
  })
  .filter(possible);

/** Those without dilations, which gradients and pools know. */
export const plainWindows: fc.Arbitrary<Window> = windows
  .map((w): Window => ({ ...w, dilations: [1, 1] }))
  .filter(possible);
