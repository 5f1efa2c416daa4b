/** From the exact integer sums of one block to the float sums of the tile: shared by the integer tiles. */
import { madd } from './math';
import { accAddress } from './memory-map';

/**
 * acc += float(P) * scale (* ks); the first block of a tile (fresh) stores instead. The scale comes before ks: a power of two, so
 * that product is exact.
 */
// @ts-ignore: decorator
@inline export function flush(
  c00: v128, c01: v128, c10: v128, c11: v128, c20: v128, c21: v128, c30: v128, c31: v128, scales: usize, ks: usize, fresh: bool,
): void {
  const acc = accAddress();
  const e0 = v128.load32_splat(scales), e1 = v128.load32_splat(scales, 4);
  const e2 = v128.load32_splat(scales, 8), e3 = v128.load32_splat(scales, 12);
  c00 = f32x4.convert_i32x4_s(c00); c01 = f32x4.convert_i32x4_s(c01);
  c10 = f32x4.convert_i32x4_s(c10); c11 = f32x4.convert_i32x4_s(c11);
  c20 = f32x4.convert_i32x4_s(c20); c21 = f32x4.convert_i32x4_s(c21);
  c30 = f32x4.convert_i32x4_s(c30); c31 = f32x4.convert_i32x4_s(c31);
  if (!ks) {
    if (fresh) {
      v128.store(acc, f32x4.mul(c00, e0)); v128.store(acc, f32x4.mul(c01, e0), 16);
      v128.store(acc, f32x4.mul(c10, e1), 32); v128.store(acc, f32x4.mul(c11, e1), 48);
      v128.store(acc, f32x4.mul(c20, e2), 64); v128.store(acc, f32x4.mul(c21, e2), 80);
      v128.store(acc, f32x4.mul(c30, e3), 96); v128.store(acc, f32x4.mul(c31, e3), 112);
      return;
    }
    accumulate(acc, 0, c00, e0); accumulate(acc, 16, c01, e0);
    accumulate(acc, 32, c10, e1); accumulate(acc, 48, c11, e1);
    accumulate(acc, 64, c20, e2); accumulate(acc, 80, c21, e2);
    accumulate(acc, 96, c30, e3); accumulate(acc, 112, c31, e3);
    return;
  }
  const s0 = v128.load(ks), s1 = v128.load(ks, 16);
  c00 = f32x4.mul(c00, e0); c01 = f32x4.mul(c01, e0);
  c10 = f32x4.mul(c10, e1); c11 = f32x4.mul(c11, e1);
  c20 = f32x4.mul(c20, e2); c21 = f32x4.mul(c21, e2);
  c30 = f32x4.mul(c30, e3); c31 = f32x4.mul(c31, e3);
  if (fresh) {
    v128.store(acc, f32x4.mul(c00, s0)); v128.store(acc, f32x4.mul(c01, s1), 16);
    v128.store(acc, f32x4.mul(c10, s0), 32); v128.store(acc, f32x4.mul(c11, s1), 48);
    v128.store(acc, f32x4.mul(c20, s0), 64); v128.store(acc, f32x4.mul(c21, s1), 80);
    v128.store(acc, f32x4.mul(c30, s0), 96); v128.store(acc, f32x4.mul(c31, s1), 112);
    return;
  }
  accumulate(acc, 0, c00, s0); accumulate(acc, 16, c01, s1);
  accumulate(acc, 32, c10, s0); accumulate(acc, 48, c11, s1);
  accumulate(acc, 64, c20, s0); accumulate(acc, 80, c21, s1);
  accumulate(acc, 96, c30, s0); accumulate(acc, 112, c31, s1);
}

// @ts-ignore: decorator
@inline function accumulate(acc: usize, offset: usize, c: v128, s: v128): void {
  acc += offset;
  v128.store(acc, madd(c, s, v128.load(acc)));
}

/** acc += (scale * ΣM) * kb. */
export function flushBias(sums: usize, kb: usize): void {
  const acc = accAddress(), b0 = v128.load(kb), b1 = v128.load(kb, 16);
  for (let r: usize = 0; r < 4; r++) {
    const e = v128.load32_splat(sums + (r << 2)), at = acc + (r << 5);
    v128.store(at, madd(e, b0, v128.load(at)));
    v128.store(at, madd(e, b1, v128.load(at, 16)), 16);
  }
}
