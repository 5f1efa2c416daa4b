/**
 * Headers and sizes of packed filters and BFP images (README.md, "Layouts"). Both are one allocation each: a 64-byte header
 * of u32 words, then the parts at the offsets the header names, each 16-byte aligned.
 */
import { ceilDiv, round4 } from './math';

/** Channels of an output tile and pixels of a row tile: the same in every kernel. */
export const TILE_C: i32 = 8;
export const TILE_R: i32 = 4;

export const MAGIC_DS: u32 = 0x31435344;
export const MAGIC_DW: u32 = 0x31445344;
export const MAGIC_F32: u32 = 0x31463246;
export const MAGIC_IMAGE: u32 = 0x31504642;

/** Filter header, byte offsets. */
export const F_BITS: usize = 4;
export const F_STORAGE: usize = 8;
export const F_TAPS: usize = 12;
export const F_DEPTH: usize = 16;
export const F_OUT: usize = 20;
export const F_GROUPS: usize = 24;
export const F_BLOCK: usize = 28;
export const F_PER_BLOCK: usize = 32;
export const F_WEIGHTS: usize = 36;
export const F_SCALES: usize = 40;
export const F_SHIFT: usize = 44;
export const F_BYTES: usize = 48;

/** Image header, byte offsets. */
export const I_KIND: usize = 4;
export const I_PIXELS: usize = 8;
export const I_MANTISSA: usize = 12;
export const I_ROWS: usize = 16;
export const I_SCALES: usize = 20;
export const I_STARTS: usize = 24;
export const I_SUMS: usize = 28;
/** Bytes of one row over all groups. */
export const I_STRIDE: usize = 32;
export const I_BYTES: usize = 36;

export const HEADER_BYTES: usize = 64;

/** Row formats of an image. */
export const ROW_F32: i32 = 1;
export const ROW_I16: i32 = 2;
export const ROW_I8: i32 = 3;

/** Fewer input channels than this, with one scale per channel: float products of exact integers (stem-tile.ts). */
export const STEM_DEPTH: i32 = 16;

// @ts-ignore: decorator
@inline export function align16(n: usize): usize { return (n + 15) & ~15; }

/** Bits a weight takes in memory: 2, 4 or 8. */
// @ts-ignore: decorator
@inline export function storageBits(bits: i32): i32 { return bits <= 2 ? 2 : bits <= 4 ? 4 : 8; }

/**
 * Depths a 16-bit accumulator lane holds exactly. A lane sums half of a segment's products, so its final value is at most
 * 32 * 8 * 127 = 32512 (4 bits, 64 depths) or 128 * 2 * 127 = 32512 (2 bits, 256 depths). 8-bit weights use 32-bit sums.
 */
// @ts-ignore: decorator
@inline export function segmentDepths(storage: i32): i32 { return storage == 2 ? 256 : 64; }

// @ts-ignore: decorator
@inline export function blocksOf(depth: i32, block: i32): i32 { return ceilDiv(depth, block); }

/** Depths of one group's row with every block padded to a multiple of 4. */
export function paddedDepth(depth: i32, block: i32): i32 {
  const nb = blocksOf(depth, block);
  if (nb == 0) return 0;
  return (nb - 1) * round4(block) + round4(depth - (nb - 1) * block);
}

/** 16-bit segments of one group's row (one tap). */
export function segmentsOf(depth: i32, block: i32, segment: i32): i32 {
  const nb = blocksOf(depth, block);
  if (nb == 0) return 0;
  return (nb - 1) * ceilDiv(block, segment) + ceilDiv(depth - (nb - 1) * block, segment);
}

/** Which rows a filter's kernel reads when activations are quantized. */
export function rowFormat(filter: usize): i32 {
  if (load<u32>(filter, F_DEPTH) < <u32>STEM_DEPTH && !load<u32>(filter, F_PER_BLOCK) && !load<u32>(filter, F_SHIFT)) return ROW_F32;
  if (ASC_FEATURE_RELAXED_SIMD && load<u32>(filter, F_STORAGE) <= 4) return ROW_I8;
  return ROW_I16;
}

/** NUMERICS §4: B * 2^(b-1) * (2^(m-1) - 1) <= 2^24, so that P is exact as int32 and as float32. */
export function sumsAreExact(filter: usize, mantissa: i32): bool {
  if (mantissa < 2 || mantissa > 8) return false;
  const block = <i64>min(load<u32>(filter, F_BLOCK), load<u32>(filter, F_DEPTH));
  return (block << (load<u32>(filter, F_BITS) - 1)) * ((1 << (mantissa - 1)) - 1) <= (1 << 24);
}
