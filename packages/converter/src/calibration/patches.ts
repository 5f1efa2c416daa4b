/** Rows of a convolution's input as its filter sees them, drawn at random from pictures. */
import { type ConvGeometry, roundHalfEven } from '@dsconv/core';
import type { Random } from '../random.js';

/** Positions of an output picture, `y · outWidth + x`, in ascending order and without repetition. */
export function samplePositions(
  { outHeight, outWidth }: ConvGeometry,
  wanted: number,
  random: Random,
): Int32Array {
  const count = outHeight * outWidth;
  if (wanted >= count) return Int32Array.from({ length: count }, (_, n) => n);
  const chosen = new Int32Array(wanted);
  // One pass: each position is taken with the probability that leaves the right number for the rest.
  for (let n = 0, taken = 0; taken < wanted; n++) {
    if (random() * (count - n) < wanted - taken) chosen[taken++] = n;
  }
  return chosen;
}

/**
 * Copies patches `[kh · kw · depth]` out of one picture; taps in the padding are zero.
 *
 * @param picture `[inHeight, inWidth, inChannels]`, one group
 * @param out filled from `start` on, one patch after the other
 */
export function gatherPatches(
  picture: Float32Array,
  geometry: ConvGeometry,
  positions: Int32Array,
  out: Float32Array,
  start: number,
): void {
  const { inHeight, inWidth, inChannels: depth, outWidth, kernelHeight, kernelWidth } = geometry;
  let at = start;
  for (const position of positions) {
    const top = Math.floor(position / outWidth) * geometry.strideHeight - geometry.padTop;
    const left = (position % outWidth) * geometry.strideWidth - geometry.padLeft;
    for (let ky = 0; ky < kernelHeight; ky++) {
      const y = top + ky * geometry.dilationHeight;
      for (let kx = 0; kx < kernelWidth; kx++, at += depth) {
        const x = left + kx * geometry.dilationWidth;
        if (y < 0 || y >= inHeight || x < 0 || x >= inWidth) {
          out.fill(0, at, at + depth);
        } else {
          const from = (y * inWidth + x) * depth;
          out.set(picture.subarray(from, from + depth), at);
        }
      }
    }
  }
}

/** Below this exponent a block counts as zero (NUMERICS §3). */
const MIN_EXPONENT = -100;

/**
 * Rounds to block floating point in place, as the operator will: `depth` values per tap and pixel, cut into blocks.
 *
 * @param bits mantissa bits, 2 to 8
 */
export function roundPatches(values: Float32Array, depth: number, blockSize: number, bits: number): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const limit = 2 ** (bits - 1) - 1;
  for (let tap = 0; tap < values.length; tap += depth) {
    for (let start = tap; start < tap + depth; start += blockSize) {
      const end = Math.min(start + blockSize, tap + depth);
      let largest = 0;
      for (let i = start; i < end; i++) {
        const magnitude = words[i]! & 0x7fffffff;
        if (magnitude > largest) largest = magnitude;
      }
      const exponent = (largest >>> 23) - 127;
      if (exponent < MIN_EXPONENT) {
        values.fill(0, start, end);
        continue;
      }
      const scale = 2 ** (exponent - (bits - 2));
      const inverse = 1 / scale;
      for (let i = start; i < end; i++) {
        const m = roundHalfEven(values[i]! * inverse);
        values[i] = (m > limit ? limit : m < -limit ? -limit : m) * scale;
      }
    }
  }
}
