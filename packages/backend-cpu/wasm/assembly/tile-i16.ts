/**
 * dsconv2d_4x8_i16__simd: 4 pixels * 8 channels, 16-bit weights times 16-bit activations in pairs of depths into 32-bit lanes
 * (i32x4.dot_i16x8_s). Plain SIMD128: every width of the simd module, and 5..8 bits in the relaxed one. A block of 1024
 * depths of -128 * -127 stays within 2^24, so sums run over whole blocks.
 */
import { flush, flushBias } from './tile-flush';

/** As tileI8, but lda in bytes of i16 rows, no starts, one table entry a block (steps of 4 depths). */
export function tileI16(
  a: usize, lda: usize, scales: usize, sums: usize, panel: usize, table: usize, nblocks: i32, ks: usize, kb: usize,
): void {
  let a0 = a, a1 = a0 + lda, a2 = a1 + lda, a3 = a2 + lda;
  let fresh = true;
  const tableEnd = table + (<usize>nblocks << 2);
  for (; table < tableEnd; table += 4) {
    let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    for (const end = a0 + (<usize>(load<u32>(table) & 0xffff) << 3); a0 < end; ) {
      const w0 = v128.load(panel), w1 = v128.load(panel, 16);
      let x = v128.load32_splat(a0);
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(x, w0));
      c01 = i32x4.add(c01, i32x4.dot_i16x8_s(x, w1));
      x = v128.load32_splat(a1);
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(x, w0));
      c11 = i32x4.add(c11, i32x4.dot_i16x8_s(x, w1));
      x = v128.load32_splat(a2);
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(x, w0));
      c21 = i32x4.add(c21, i32x4.dot_i16x8_s(x, w1));
      x = v128.load32_splat(a3);
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(x, w0));
      c31 = i32x4.add(c31, i32x4.dot_i16x8_s(x, w1));
      a0 += 4;
      a1 += 4;
      a2 += 4;
      a3 += 4;
      panel += 32;
    }
    flush(c00, c01, c10, c11, c20, c21, c30, c31, scales, ks, fresh);
    fresh = false;
    scales += 16;
    if (ks) ks += 32;
    if (sums) {
      flushBias(sums, kb);
      sums += 16;
      kb += 32;
    }
  }
}
