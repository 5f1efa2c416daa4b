/**
 * float_4x8: 4 rows * 8 columns of a float32 product, all sums in registers. panel: [k][8]. Writes the 4 * 8 sums at accAddress.
 */
import { madd } from './math';
import { accAddress } from './memory-map';

export function tileFloat(a: usize, lda: usize, panel: usize, depth: i32): void {
  let a0 = a, a1 = a0 + lda, a2 = a1 + lda, a3 = a2 + lda;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  for (const end = a0 + (<usize>depth << 2); a0 < end; ) {
    const w0 = v128.load(panel), w1 = v128.load(panel, 16);
    let x = v128.load32_splat(a0);
    c00 = madd(x, w0, c00);
    c01 = madd(x, w1, c01);
    x = v128.load32_splat(a1);
    c10 = madd(x, w0, c10);
    c11 = madd(x, w1, c11);
    x = v128.load32_splat(a2);
    c20 = madd(x, w0, c20);
    c21 = madd(x, w1, c21);
    x = v128.load32_splat(a3);
    c30 = madd(x, w0, c30);
    c31 = madd(x, w1, c31);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    panel += 32;
  }
  const acc = accAddress();
  v128.store(acc, c00); v128.store(acc, c01, 16);
  v128.store(acc, c10, 32); v128.store(acc, c11, 48);
  v128.store(acc, c20, 64); v128.store(acc, c21, 80);
  v128.store(acc, c30, 96); v128.store(acc, c31, 112);
}
