/** From the packed cells of pack.ts (8 channels * 4 depths) to the panels the tiles read; one channel tile at a time. */

/** 15 and 3 in every byte; in memory because V8 builds vector constants anew at every use. */
const MASKS: usize = memory.data<u32>([
  0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x03030303, 0x03030303, 0x03030303, 0x03030303,
], 16);

/**
 * Unsigned bytes for the relaxed dot product: per 4 depths 32 bytes, [8 channels][4 depths], value q + 8 (4 bits, 0..15) or
 * q + 2 (2 bits, 0..3): never negative, because the meaning of a negative i7 operand is left to the machine.
 */
export function unpackU8(src: usize, dst: usize, cells: i32, storage: i32): void {
  if (storage == 4) {
    const mask = v128.load(MASKS);
    for (; cells > 0; cells--) {
      const p = v128.load(src);
      v128.store(dst, v128.and(p, mask));
      v128.store(dst, v128.and(i16x8.shr_u(p, 4), mask), 16);
      src += 16;
      dst += 32;
    }
    return;
  }
  const mask = v128.load(MASKS, 16);
  for (; cells > 0; cells--) {
    const p = v128.load64_splat(src);
    // Bytes 0-7: planes 0 and 2; bytes 8-15: planes 1 and 3.
    const v = v128.shuffle<i64>(p, i16x8.shr_u(p, 2), 0, 3);
    v128.store(dst, v128.and(v, mask));
    v128.store(dst, v128.and(i16x8.shr_u(v, 4), mask), 16);
    src += 8;
    dst += 32;
  }
}

/** Signed bytes of one cell, channels 0-3 (half 0) or 4-7 (half 1), order [4 channels][4 depths]. */
// @ts-ignore: decorator
@inline function signedHalf(src: usize, storage: i32, half: i32): v128 {
  if (storage == 8) return v128.load(src + (half << 4));
  if (storage == 4) {
    const p = v128.load(src);
    return i8x16.sub(v128.and(half ? i16x8.shr_u(p, 4) : p, i8x16.splat(15)), i8x16.splat(8));
  }
  const p = v128.load64_splat(src);
  const v = v128.shuffle<i64>(p, i16x8.shr_u(p, 2), 0, 3);
  return i8x16.sub(v128.and(half ? i16x8.shr_u(v, 4) : v, i8x16.splat(3)), i8x16.splat(2));
}

/** Signed 16-bit pairs for i32x4.dot_i16x8_s: per 2 depths 32 bytes, [8 channels][2 depths]. */
export function unpackI16(src: usize, dst: usize, cells: i32, storage: i32): void {
  const step = <usize>(storage << 2);
  for (; cells > 0; cells--) {
    const a = signedHalf(src, storage, 0), b = signedHalf(src, storage, 1);
    const a2 = v128.shuffle<i8>(a, a, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    const b2 = v128.shuffle<i8>(b, b, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    v128.store(dst, i16x8.extend_low_i8x16_s(a2));
    v128.store(dst, i16x8.extend_low_i8x16_s(b2), 16);
    v128.store(dst, i16x8.extend_high_i8x16_s(a2), 32);
    v128.store(dst, i16x8.extend_high_i8x16_s(b2), 48);
    src += step;
    dst += 64;
  }
}

/** float(q * s + b) rounded once: q * s and b may nearly cancel, and then a rounded product would be wrong by much. */
// @ts-ignore: decorator
@inline function shifted(x: v128, s: v128, b: v128): v128 {
  const lo = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(s)), f64x2.promote_low_f32x4(b));
  x = v128.shuffle<i64>(x, x, 1, 0);
  s = v128.shuffle<i64>(s, s, 1, 0);
  b = v128.shuffle<i64>(b, b, 1, 0);
  const hi = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(s)), f64x2.promote_low_f32x4(b));
  return v128.shuffle<i64>(f32x4.demote_f64x2_zero(lo), f32x4.demote_f64x2_zero(hi), 0, 2);
}

// @ts-ignore: decorator
@inline function floats(v: v128, s: v128, b: v128, dst: usize, low: bool): void {
  const w = low ? i16x8.extend_low_i8x16_s(v) : i16x8.extend_high_i8x16_s(v);
  const x = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(w));
  const y = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(w));
  v128.store(dst, shifted(x, s, b));
  v128.store(dst, shifted(y, s, b), 32);
}

/**
 * Floats q * s + b for the float tiles: [depth][8 channels], n depths (not padded; up to 3 rows of 32 bytes beyond are overwritten).
 * s, b: 8 floats each; b may be 0.
 */
export function unpackF32(src: usize, dst: usize, n: i32, storage: i32, s: usize, b: usize): void {
  if (b) unpackShifted(src, dst, n, storage, s, b);
  else unpackScaled(src, dst, n, storage, s);
}

// @ts-ignore: decorator
@inline function scaled(v: v128, s: v128, dst: usize, low: bool): void {
  const w = low ? i16x8.extend_low_i8x16_s(v) : i16x8.extend_high_i8x16_s(v);
  v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(w)), s));
  v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(w)), s), 32);
}

function unpackScaled(src: usize, dst: usize, n: i32, storage: i32, s: usize): void {
  const step = <usize>(storage << 2);
  const s0 = v128.load(s), s1 = v128.load(s, 16);
  for (; n > 0; n -= 4) {
    let v = signedHalf(src, storage, 0);
    v = v128.shuffle<i8>(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    scaled(v, s0, dst, true);
    scaled(v, s0, dst + 64, false);
    v = signedHalf(src, storage, 1);
    v = v128.shuffle<i8>(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    scaled(v, s1, dst + 16, true);
    scaled(v, s1, dst + 80, false);
    src += step;
    dst += 128;
  }
}

function unpackShifted(src: usize, dst: usize, n: i32, storage: i32, s: usize, b: usize): void {
  const step = <usize>(storage << 2);
  const s0 = v128.load(s), s1 = v128.load(s, 16), b0 = v128.load(b), b1 = v128.load(b, 16);
  for (; n > 0; n -= 4) {
    let v = signedHalf(src, storage, 0);
    v = v128.shuffle<i8>(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    floats(v, s0, b0, dst, true);
    floats(v, s0, b0, dst + 64, false);
    v = signedHalf(src, storage, 1);
    v = v128.shuffle<i8>(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    floats(v, s1, b1, dst + 16, true);
    floats(v, s1, b1, dst + 80, false);
    src += step;
    dst += 128;
  }
}
