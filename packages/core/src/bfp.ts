/** Block floating point (BFP): activations as small integers with one power of two per block of channels. NUMERICS §3. */
import { InvalidArgumentError } from './errors.js';
import { roundHalfEven } from './rounding.js';

/** How the channels of an NHWC tensor are cut into blocks, and how many bits a mantissa has. */
export interface BfpFormat {
  /** Whole two's-complement width `m` of a mantissa, 2 to 8. */
  bits: number;
  /** Channels per block, `B`; the last block of each group is short. */
  blockSize: number;
  /** No block crosses the border between two groups. Default 1. */
  groups?: number;
}

/** Integers and scales of a tensor `[pixels, channels]`. */
export interface BfpTensor {
  /** `M`, `[pixels, channels]`. */
  mantissa: Int8Array;
  /** `2^(E-(m-2))`, `[pixels, groups * blocksPerGroup]`; 0 for a zero block, NaN where the block held NaN or infinity. */
  scale: Float32Array;
  /** Blocks of one group, `ceil(channels / groups / blockSize)`. */
  blocksPerGroup: number;
}

/** Below this exponent a block counts as zero, so that no scale is subnormal. */
export const MIN_EXPONENT = -100;

export function checkBfpFormat(format: BfpFormat, channels: number, name: string): void {
  const { bits, blockSize, groups = 1 } = format;
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new InvalidArgumentError(`${name}.bits is ${bits}; expected an integer from 2 to 8`);
  }
  if (!Number.isInteger(blockSize) || blockSize < 1) {
    throw new InvalidArgumentError(`${name}.blockSize is ${blockSize}; expected a positive integer`);
  }
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new InvalidArgumentError(
      `${name}.groups is ${groups}; expected a positive integer that divides ${channels} channels`,
    );
  }
}

/**
 * Quantizes activations to block floating point. Per pixel and block: `E` is the largest exponent, read from the float's own exponent bits;
 * `scale = 2^(E-(m-2))`; `M = clamp(roundHalfEven(x/scale), ±(2^(m-1)-1))`.
 *
 * @param x float32 `[pixels, channels]`, channels last
 */
export function quantizeBfp(x: Float32Array, channels: number, format: BfpFormat): BfpTensor {
  checkBfpFormat(format, channels, 'format');
  const { bits, blockSize, groups = 1 } = format;
  const depth = channels / groups;
  const blocksPerGroup = Math.ceil(depth / blockSize);
  const pixels = channels === 0 ? 0 : x.length / channels;
  const words = new Uint32Array(x.buffer, x.byteOffset, x.length);
  const mantissa = new Int8Array(x.length);
  const scale = new Float32Array(pixels * groups * blocksPerGroup);
  const limit = 2 ** (bits - 1) - 1;
  let s = 0;
  for (let p = 0; p < pixels; p++) {
    for (let g = 0; g < groups; g++) {
      const groupEnd = p * channels + (g + 1) * depth;
      for (let start = p * channels + g * depth; start < groupEnd; start += blockSize, s++) {
        const end = Math.min(start + blockSize, groupEnd);
        let largest = 0;
        for (let i = start; i < end; i++) largest = Math.max(largest, words[i]! & 0x7fffffff);
        const exponent = (largest >>> 23) - 127;
        if (exponent === 128) {
          scale[s] = NaN;
          continue;
        }
        if (exponent < MIN_EXPONENT) continue;
        scale[s] = 2 ** (exponent - (bits - 2));
        const inverse = 2 ** (bits - 2 - exponent);
        for (let i = start; i < end; i++) {
          const m = roundHalfEven(x[i]! * inverse);
          mantissa[i] = m > limit ? limit : m < -limit ? -limit : m;
        }
      }
    }
  }
  return { mantissa, scale, blocksPerGroup };
}

/** `x̂ = M * scale`: the nearest values on the BFP grid, as float32 of the same layout. Idempotent. */
export function roundToBfp(x: Float32Array, channels: number, format: BfpFormat): Float32Array {
  const { mantissa, scale, blocksPerGroup } = quantizeBfp(x, channels, format);
  const { blockSize, groups = 1 } = format;
  const depth = channels / groups;
  const out = new Float32Array(x.length);
  for (let i = 0; i < out.length; i++) {
    const pixel = Math.floor(i / channels);
    const channel = i % channels;
    const group = Math.floor(channel / depth);
    const block = Math.floor((channel - group * depth) / blockSize);
    out[i] = mantissa[i]! * scale[(pixel * groups + group) * blocksPerGroup + block]!;
  }
  return out;
}

/**
 * The gradient of {@link roundToBfp}: `dy` where the clamp changes nothing, 0 where it does, which is from `(2^(m-1) - 0.5) * scale` on, for
 * halves round to the even number beyond it. NUMERICS §6.
 *
 * @param x what was rounded, float32 `[pixels, channels]`
 * @param dy of the same length
 */
export function bfpGradient(
  x: Float32Array,
  dy: Float32Array,
  channels: number,
  format: BfpFormat,
): Float32Array {
  const { scale, blocksPerGroup } = quantizeBfp(x, channels, format);
  const { bits, blockSize, groups = 1 } = format;
  const depth = channels / groups;
  const dx = dy.slice();
  let s = 0;
  for (let row = 0; row < x.length; row += depth) {
    for (let block = 0; block < blocksPerGroup; block++, s++) {
      const clampedFrom = (2 ** (bits - 1) - 0.5) * scale[s]!;
      // Blocks that count as zero have no scale and no clamp.
      if (!(clampedFrom > 0)) continue;
      const end = row + Math.min((block + 1) * blockSize, depth);
      for (let i = row + block * blockSize; i < end; i++) if (Math.abs(x[i]!) >= clampedFrom) dx[i] = 0;
    }
  }
  return dx;
}
