/** From the exact integer sums of one block to the float sums of the tile: shared by the integer tiles. */
import { madd } from './math';
import { ACC } from './scratch';

/** ACC += float(P) * scale (* ks). The scale first: a power of two, so this product is exact. */
// @ts-ignore: decorator
@inline export function flush(
  c00: v128, c01: v128, c10: v128, c11: v128, c20: v128, c21: v128, c30: v128, c31: v128, scales: usize, ks: usize,
): void {
  const e0 = v128.load32_splat(scales), e1 = v128.load32_splat(scales, 4);
  const e2 = v128.load32_splat(scales, 8), e3 = v128.load32_splat(scales, 12);
  if (ks) {
    const s0 = v128.load(ks), s1 = v128.load(ks, 16);
    scaled(0, c00, e0, s0); scaled(16, c01, e0, s1);
    scaled(32, c10, e1, s0); scaled(48, c11, e1, s1);
    scaled(64, c20, e2, s0); scaled(80, c21, e2, s1);
    scaled(96, c30, e3, s0); scaled(112, c31, e3, s1);
  } else {
    plain(0, c00, e0); plain(16, c01, e0);
    plain(32, c10, e1); plain(48, c11, e1);
    plain(64, c20, e2); plain(80, c21, e2);
    plain(96, c30, e3); plain(112, c31, e3);
  }
}

// @ts-ignore: decorator
@inline function scaled(offset: usize, c: v128, e: v128, s: v128): void {
  v128.store(ACC + offset, madd(f32x4.mul(f32x4.convert_i32x4_s(c), e), s, v128.load(ACC + offset)));
}

// @ts-ignore: decorator
@inline function plain(offset: usize, c: v128, e: v128): void {
  v128.store(ACC + offset, madd(f32x4.convert_i32x4_s(c), e, v128.load(ACC + offset)));
}

/** ACC += (scale * ΣM) * kb. */
export function flushBias(sums: usize, kb: usize): void {
  const b0 = v128.load(kb), b1 = v128.load(kb, 16);
  for (let r: usize = 0; r < 4; r++) {
    const e = v128.load32_splat(sums + (r << 2)), at = ACC + (r << 5);
    v128.store(at, madd(e, b0, v128.load(at)));
    v128.store(at, madd(e, b1, v128.load(at, 16)), 16);
  }
}
