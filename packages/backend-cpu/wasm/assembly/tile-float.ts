/**
 * float_4x8: 4 rows * 8 columns of a float32 product, all sums in registers. panel: [k][8]. Writes the 4 * 8 floats at ACC.
 */
import { madd } from './math';
import { ACC } from './scratch';

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
  v128.store(ACC, c00); v128.store(ACC, c01, 16);
  v128.store(ACC, c10, 32); v128.store(ACC, c11, 48);
  v128.store(ACC, c20, 64); v128.store(ACC, c21, 80);
  v128.store(ACC, c30, 96); v128.store(ACC, c31, 112);
}

/**
 * stem_4x8: as tileFloat with a = x̂ and panel = float(q), but the products of one block are summed before they are added to the
 * rest. All x̂ of a block are integers times one power of two, so that sum is P * scale exactly and the result has the
 * float terms of NUMERICS §4 and no more. blocks: table of block lengths (low 16 bits).
 */
export function tileStem(a: usize, lda: usize, panel: usize, table: usize, nblocks: i32): void {
  stemHalf(a, lda, panel, table, nblocks, ACC);
  stemHalf(a, lda, panel + 16, table, nblocks, ACC + 16);
}

function stemHalf(a: usize, lda: usize, panel: usize, table: usize, nblocks: i32, acc: usize): void {
  let a0 = a, a1 = a0 + lda, a2 = a1 + lda, a3 = a2 + lda;
  let c0 = f32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
  const tableEnd = table + (<usize>nblocks << 2);
  for (; table < tableEnd; table += 4) {
    const n = load<u32>(table) & 0xffff;
    let w = v128.load(panel);
    let t0 = f32x4.mul(v128.load32_splat(a0), w), t1 = f32x4.mul(v128.load32_splat(a1), w);
    let t2 = f32x4.mul(v128.load32_splat(a2), w), t3 = f32x4.mul(v128.load32_splat(a3), w);
    if (n == 3) {
      w = v128.load(panel, 32);
      t0 = madd(v128.load32_splat(a0, 4), w, t0);
      t1 = madd(v128.load32_splat(a1, 4), w, t1);
      t2 = madd(v128.load32_splat(a2, 4), w, t2);
      t3 = madd(v128.load32_splat(a3, 4), w, t3);
      w = v128.load(panel, 64);
      c0 = f32x4.add(c0, madd(v128.load32_splat(a0, 8), w, t0));
      c1 = f32x4.add(c1, madd(v128.load32_splat(a1, 8), w, t1));
      c2 = f32x4.add(c2, madd(v128.load32_splat(a2, 8), w, t2));
      c3 = f32x4.add(c3, madd(v128.load32_splat(a3, 8), w, t3));
      panel += 96;
      a0 += 12;
      a1 += 12;
      a2 += 12;
      a3 += 12;
      continue;
    }
    const end = a0 + (<usize>n << 2);
    for (;;) {
      a0 += 4;
      a1 += 4;
      a2 += 4;
      a3 += 4;
      panel += 32;
      if (a0 >= end) break;
      w = v128.load(panel);
      t0 = madd(v128.load32_splat(a0), w, t0);
      t1 = madd(v128.load32_splat(a1), w, t1);
      t2 = madd(v128.load32_splat(a2), w, t2);
      t3 = madd(v128.load32_splat(a3), w, t3);
    }
    c0 = f32x4.add(c0, t0);
    c1 = f32x4.add(c1, t1);
    c2 = f32x4.add(c2, t2);
    c3 = f32x4.add(c3, t3);
  }
  v128.store(acc, c0);
  v128.store(acc, c1, 32);
  v128.store(acc, c2, 64);
  v128.store(acc, c3, 96);
}
