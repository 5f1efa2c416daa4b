/**
 * stem_4x8: 4 pixels * 8 channels of a shallow convolution (the first one of a network) with one scale per channel: a = x̂,
 * panel = float(q). The products of one block are summed before they are added to the rest: all x̂ of a block are integers
 * times one power of two, so that sum is P * scale exactly and the result has the float terms of NUMERICS §4 and no more.
 */
import { madd } from './math';
import { accAddress } from './memory-map';

/** blocks: table of block lengths (low 16 bits); three: all of them are 3 (RGB). Writes the sums at accAddress. Reads 4 bytes beyond each row. */
export function tileStem(a: usize, lda: usize, panel: usize, table: usize, nblocks: i32, three: bool): void {
  const acc = accAddress();
  if (three) {
    threeDeep(a, lda, panel, nblocks, acc);
    threeDeep(a + 2 * lda, lda, panel, nblocks, acc + 64);
    return;
  }
  anyDepth(a, lda, panel, table, nblocks, acc);
  anyDepth(a, lda, panel + 16, table, nblocks, acc + 16);
}

/**
 * 2 pixels * 8 channels. One load a pixel, its lanes splatted by shuffles: V8 schedules loads first, and splat loads would need more
 * registers than there are.
 */
function threeDeep(a: usize, lda: usize, panel: usize, nblocks: i32, acc: usize): void {
  let a0 = a, a1 = a + lda;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00;
  for (const end = panel + <usize>nblocks * 96; panel < end; panel += 96) {
    const x0 = v128.load(a0), x1 = v128.load(a1);
    const u0 = v128.load(panel), u1 = v128.load(panel, 16), v0 = v128.load(panel, 32), v1 = v128.load(panel, 48);
    const w0 = v128.load(panel, 64), w1 = v128.load(panel, 80);
    let s = v128.shuffle<i32>(x0, x0, 0, 0, 0, 0);
    let t0 = f32x4.mul(s, u0), t1 = f32x4.mul(s, u1);
    s = v128.shuffle<i32>(x0, x0, 1, 1, 1, 1);
    t0 = madd(s, v0, t0);
    t1 = madd(s, v1, t1);
    s = v128.shuffle<i32>(x0, x0, 2, 2, 2, 2);
    c00 = f32x4.add(c00, madd(s, w0, t0));
    c01 = f32x4.add(c01, madd(s, w1, t1));
    s = v128.shuffle<i32>(x1, x1, 0, 0, 0, 0);
    t0 = f32x4.mul(s, u0);
    t1 = f32x4.mul(s, u1);
    s = v128.shuffle<i32>(x1, x1, 1, 1, 1, 1);
    t0 = madd(s, v0, t0);
    t1 = madd(s, v1, t1);
    s = v128.shuffle<i32>(x1, x1, 2, 2, 2, 2);
    c10 = f32x4.add(c10, madd(s, w0, t0));
    c11 = f32x4.add(c11, madd(s, w1, t1));
    a0 += 12;
    a1 += 12;
  }
  v128.store(acc, c00);
  v128.store(acc, c01, 16);
  v128.store(acc, c10, 32);
  v128.store(acc, c11, 48);
}

/** 4 pixels * 4 channels, any block lengths. */
function anyDepth(a: usize, lda: usize, panel: usize, table: usize, nblocks: i32, acc: usize): void {
  let a0 = a, a1 = a0 + lda, a2 = a1 + lda, a3 = a2 + lda;
  let c0 = f32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
  for (const tableEnd = table + (<usize>nblocks << 2); table < tableEnd; table += 4) {
    let t0 = f32x4.splat(0), t1 = t0, t2 = t0, t3 = t0;
    for (const end = a0 + (<usize>(load<u32>(table) & 0xffff) << 2); a0 < end; ) {
      const w = v128.load(panel);
      t0 = madd(v128.load32_splat(a0), w, t0);
      t1 = madd(v128.load32_splat(a1), w, t1);
      t2 = madd(v128.load32_splat(a2), w, t2);
      t3 = madd(v128.load32_splat(a3), w, t3);
      a0 += 4;
      a1 += 4;
      a2 += 4;
      a3 += 4;
      panel += 32;
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
