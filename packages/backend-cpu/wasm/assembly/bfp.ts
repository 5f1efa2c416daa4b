/**
 * Block floating point (NUMERICS §3) of one block of one pixel, vectorised over its channels.
 *
 * Rounding: x / scale is x times a power of two, hence exact (fused or not); adding 1.5 * 2^23 rounds it half to even into the low mantissa
 * bits, and subtracting that constant's bit pattern as an integer leaves M. |x / scale| <= 2^(m-1), so only the clamp at
 * ±(2^(m-1) - 1) remains.
 */
import { ROUND, arg, setArg } from './job-kinds';
import { tailAddress } from './memory-map';
import { partBegin, partsOf, runJob, threadsFor } from './threads';
import { madd } from './math';

export const MAGIC: f32 = 12582912;

/**
 * Constants of the loops, loaded from memory rather than written as v128 constants: V8 builds those anew (three instructions) at
 * every use. abs mask; 1.5 * 2^23, as a float and as its bits.
 */
const CONSTANTS: usize = memory.data<i32>([
  0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff, 0x4b400000, 0x4b400000, 0x4b400000, 0x4b400000,
], 16);

/** Largest bits & 0x7fffffff of n floats: orders |x|, infinities and NaNs on top. */
export function maxBits(x: usize, n: i32): i32 {
  const mask = v128.load(CONSTANTS);
  let m = i32x4.splat(0);
  let i = 0;
  for (; i + 16 <= n; i += 16) {
    const a = i32x4.max_s(v128.and(v128.load(x), mask), v128.and(v128.load(x, 16), mask));
    const b = i32x4.max_s(v128.and(v128.load(x, 32), mask), v128.and(v128.load(x, 48), mask));
    m = i32x4.max_s(m, i32x4.max_s(a, b));
    x += 64;
  }
  for (; i + 4 <= n; i += 4) {
    m = i32x4.max_s(m, v128.and(v128.load(x), mask));
    x += 16;
  }
  m = i32x4.max_s(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  m = i32x4.max_s(m, v128.shuffle<i32>(m, m, 1, 0, 3, 2));
  let r = i32x4.extract_lane(m, 0);
  for (; i < n; i++) {
    r = max(r, load<i32>(x) & 0x7fffffff);
    x += 4;
  }
  return r;
}

/** 2^(E - (m-2)); 0 where E < -100, NaN where the block has a NaN or an infinity. */
// @ts-ignore: decorator
@inline export function scaleOf(bits: i32, mantissa: i32): f32 {
  const e = bits >> 23;
  if (e < 27) return 0;
  if (e == 255) return reinterpret<f32>(0x7fc00000);
  return reinterpret<f32>((e - (mantissa - 2)) << 23);
}

/** 1 / scale for a scale that is neither 0 nor NaN; 2^-127 (m = 2, E = 127) is a denormal and still exact. */
// @ts-ignore: decorator
@inline export function inverseOf(bits: i32, mantissa: i32): f32 {
  const e = 254 + (mantissa - 2) - (bits >> 23);
  return reinterpret<f32>(e > 0 ? e << 23 : 0x00400000);
}

// @ts-ignore: decorator
@inline function integers(x: v128, inverse: v128, magic: v128): v128 {
  return i32x4.sub(madd(x, inverse, magic), magic);
}

/** Copies a block's tail, padded with zeros. Returns where to. */
function padTail(x: usize, n: i32): usize {
  const tail = tailAddress();
  v128.store(tail, i32x4.splat(0));
  v128.store(tail, i32x4.splat(0), 16);
  v128.store(tail, i32x4.splat(0), 32);
  v128.store(tail, i32x4.splat(0), 48);
  for (let i = 0; i < n; i++) store<u32>(tail + (i << 2), load<u32>(x + (i << 2)));
  return tail;
}

/** Stores the first `words` (1 to 4) words of a vector: what lies behind them may be another thread's. */
// @ts-ignore: decorator
@inline function storeWords(dst: usize, v: v128, words: i32): void {
  if (words == 4) {
    v128.store(dst, v);
    return;
  }
  if (words & 2) {
    v128.store64_lane(dst, v, 0);
    if (words & 1) v128.store32_lane(dst, v, 2, 8);
    return;
  }
  v128.store32_lane(dst, v, 0);
}

// @ts-ignore: decorator
@inline function narrow16(x: usize, inverse: v128, magic: v128, lo: v128, hi: v128): v128 {
  const a = pair(v128.load(x), v128.load(x, 16), inverse, magic);
  const b = pair(v128.load(x, 32), v128.load(x, 48), inverse, magic);
  return i8x16.max_s(i8x16.min_s(i8x16.narrow_i16x8_s(a, b), hi), lo);
}

// @ts-ignore: decorator
@inline function pair(a: v128, b: v128, inverse: v128, magic: v128): v128 {
  return i16x8.narrow_i32x4_s(integers(a, inverse, magic), integers(b, inverse, magic));
}

/**
 * Block of n floats, maxBits `bits`, to signed bytes at dst, zero padded to a multiple of 4; nothing beyond is written.
 * Per segment of `segment` depths (a multiple of 16) a start value goes to starts, starts + 16, …: two i16 in 32 bits,
 * -(sum of M) << shift over the depths 4k, 4k+1 (low half) and 4k+2, 4k+3 (high half). Returns the scale; ΣM in lastSum.
 */
export let lastSum: i32 = 0;

export function quantizeI8(
  x: usize, n: i32, bits: i32, dst: usize, mantissa: i32, segment: i32, shift: i32, starts: usize,
): f32 {
  const scale = scaleOf(bits, mantissa);
  const good = scale > 0;
  const inverse = f32x4.splat(good ? inverseOf(bits, mantissa) : 0);
  const limit = (1 << (mantissa - 1)) - 1;
  const magic = v128.load(CONSTANTS, 16);
  const hi = i8x16.splat(<i8>limit);
  const lo = i8x16.neg(hi);
  let total = 0;
  let i = 0;
  while (i < n) {
    const end = min(n, i + segment);
    let sum = i16x8.splat(0);
    if (good) {
      for (; i + 16 <= end; i += 16) {
        const v = narrow16(x, inverse, magic, lo, hi);
        v128.store(dst, v);
        sum = i16x8.add(sum, i16x8.extadd_pairwise_i8x16_s(v));
        x += 64;
        dst += 16;
      }
      if (i < end) {
        const v = narrow16(padTail(x, end - i), inverse, magic, lo, hi);
        storeWords(dst, v, (end - i + 3) >> 2);
        sum = i16x8.add(sum, i16x8.extadd_pairwise_i8x16_s(v));
      }
    } else {
      for (; i < end; i += 16) {
        storeWords(dst, i32x4.splat(0), (min(16, end - i) + 3) >> 2);
        dst += 16;
      }
    }
    i = end;
    sum = i16x8.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
    sum = i16x8.add(sum, v128.shuffle<i32>(sum, sum, 1, 0, 3, 2));
    total += <i32>i16x8.extract_lane_s(sum, 0) + <i32>i16x8.extract_lane_s(sum, 1);
    store<u32>(starts, i32x4.extract_lane(i16x8.neg(i16x8.shl(sum, shift)), 0));
    starts += 16;
  }
  lastSum = total;
  return scale;
}

/** Block of n floats, maxBits `bits`, to i16 at dst, zero padded to a multiple of 4, nothing beyond it written. ΣM in lastSum. */
export function quantizeI16(x: usize, n: i32, bits: i32, dst: usize, mantissa: i32): f32 {
  const scale = scaleOf(bits, mantissa);
  const good = scale > 0;
  const inverse = f32x4.splat(good ? inverseOf(bits, mantissa) : 0);
  const limit = (1 << (mantissa - 1)) - 1;
  const magic = v128.load(CONSTANTS, 16);
  const hi = i16x8.splat(<i16>limit);
  const lo = i16x8.neg(hi);
  let sum = i32x4.splat(0);
  let i = 0;
  if (!good) {
    for (; i < n; i += 8) {
      storeWords(dst, i32x4.splat(0), n - i > 4 ? 4 : 2);
      dst += 16;
    }
    lastSum = 0;
    return scale;
  }
  const ones = i16x8.splat(1);
  for (; i < n; i += 8) {
    let from = x;
    if (i + 8 > n) from = padTail(x, n - i);
    const v = i16x8.max_s(i16x8.min_s(pair(v128.load(from), v128.load(from, 16), inverse, magic), hi), lo);
    storeWords(dst, v, n - i > 4 ? 4 : 2);
    sum = i32x4.add(sum, i32x4.dot_i16x8_s(v, ones));
    x += 32;
    dst += 16;
  }
  sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
  lastSum = i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1);
  return scale;
}

/** x̂ of n floats; y may be x. A block with E < -100 becomes +0, one with a NaN or infinity NaN. */
export function roundBlock(x: usize, y: usize, n: i32, mantissa: i32): void {
  const bits = maxBits(x, n);
  const scale = scaleOf(bits, mantissa);
  let i = 0;
  if (!(scale > 0)) {
    for (; i < n; i++) f32.store(y + (i << 2), scale);
    return;
  }
  const inverse = inverseOf(bits, mantissa);
  const limit = <f32>((1 << (mantissa - 1)) - 1);
  const inv4 = f32x4.splat(inverse), scale4 = f32x4.splat(scale), hi4 = f32x4.splat(limit), lo4 = f32x4.splat(-limit);
  const magic4 = v128.load(CONSTANTS, 16);
  for (; i + 4 <= n; i += 4) {
    const r = f32x4.sub(madd(v128.load(x), inv4, magic4), magic4);
    v128.store(y, f32x4.mul(f32x4.pmax(f32x4.pmin(r, hi4), lo4), scale4));
    x += 16;
    y += 16;
  }
  for (; i < n; i++) {
    const r = max(min(f32.load(x) * inverse + MAGIC - MAGIC, limit), -limit);
    f32.store(y, r * scale);
    x += 4;
    y += 4;
  }
}

/** x̂ of `rows` rows of `depth` floats. */
export function roundRows(x: usize, y: usize, rows: i32, depth: i32, block: i32, mantissa: i32): void {
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < depth; c += block) {
      const n = min(block, depth - c);
      roundBlock(x, y, n, mantissa);
      x += n << 2;
      y += n << 2;
    }
  }
}

export function bfp_round(x: usize, y: usize, pixels: i32, channels: i32, groups: i32, block: i32, mantissa: i32): i32 {
  if (mantissa < 2 || mantissa > 8 || block < 1 || groups < 1 || channels % groups) return 2;
  const rows = pixels * groups, threads = threadsFor(<u64>pixels * channels << 4);
  setArg(0, x);
  setArg(1, y);
  setArg(2, rows);
  setArg(3, channels / groups);
  setArg(4, block);
  setArg(5, mantissa);
  runJob(ROUND, partsOf(rows, 1, threads), threads);
  return 0;
}

export function roundPart(part: i32, parts: i32): void {
  const rows = arg<i32>(2), depth = arg<i32>(3);
  const begin = partBegin(part, parts, rows, 1), end = partBegin(part + 1, parts, rows, 1);
  const at = <usize>begin * depth << 2;
  roundRows(arg<usize>(0) + at, arg<usize>(1) + at, end - begin, depth, arg<i32>(4), arg<i32>(5));
}
