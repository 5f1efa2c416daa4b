/**
 * dsconv2d_4x8__relaxed: 4 pixels * 8 channels, unsigned weight bytes (0..15 or 0..3) times signed activation bytes.
 *
 * relaxed_dot_i8x16_i7x16_s adds pairs of products into 16-bit lanes: at most 2 * 15 * 127, never saturated. A lane holds half of a
 * channel's products; it starts at -8 (-2) * ΣM of its depths, so that at the end of a segment it holds Σ q M exactly, and
 * what happened in between does not matter because 16-bit addition wraps.
 *
 * Why this tile and this loop: V8 schedules all loads of a basic block first, so that 8 accumulators, 4 activations, 2 weights
 * and one product are alive at once: 15 registers, all there are. A larger tile, weights unpacked here, or a loop unrolled by
 * hand spill an accumulator, and the store and reload in the chain cost a third of the speed (README.md, "Measured").
 */
import { flush, flushBias } from './tile-flush';
import { intAddress } from './memory-map';

/** Segment table entry: steps of 4 depths | kind << 16. */
export const SEG_ONLY: i32 = 0;
export const SEG_FIRST: i32 = 1;
export const SEG_MIDDLE: i32 = 2;
export const SEG_LAST: i32 = 3;

// @ts-ignore: decorator
@inline function pair(c: v128): v128 { return i32x4.extadd_pairwise_i16x8_s(c); }

// @ts-ignore: decorator
@inline function addTo(p: usize, offset: usize, v: v128): void {
  v128.store(p + offset, i32x4.add(v128.load(p + offset), v));
}

/**
 * a, lda: first pixel's row, bytes to the next. starts, scales, sums: [segment or block][4 pixels]; sums 0 if no shift bias.
 * panel: unpackU8's. table: nseg entries. ks: [block][8] or 0 for one scale per channel. kb: [block][8] if sums.
 * Writes the 4 * 8 floats at accAddress (row-major, 8 channels a row), unless there are no segments.
 */
export function tileI8(
  a: usize, lda: usize, starts: usize, scales: usize, sums: usize, panel: usize, table: usize, nseg: i32, ks: usize,
  kb: usize,
): void {
  let a0 = a, a1 = a0 + lda, a2 = a1 + lda, a3 = a2 + lda;
  let fresh = true;
  const tableEnd = table + (<usize>nseg << 2);
  for (; table < tableEnd; table += 4) {
    const entry = load<u32>(table);
    let c00 = v128.load32_splat(starts), c01 = c00;
    let c10 = v128.load32_splat(starts, 4), c11 = c10;
    let c20 = v128.load32_splat(starts, 8), c21 = c20;
    let c30 = v128.load32_splat(starts, 12), c31 = c30;
    starts += 16;
    for (const end = a0 + (<usize>(entry & 0xffff) << 2); a0 < end; ) {
      const w0 = v128.load(panel), w1 = v128.load(panel, 16);
      let x = v128.load32_splat(a0);
      c00 = i16x8.add(c00, i16x8.relaxed_dot_i8x16_i7x16_s(x, w0));
      c01 = i16x8.add(c01, i16x8.relaxed_dot_i8x16_i7x16_s(x, w1));
      x = v128.load32_splat(a1);
      c10 = i16x8.add(c10, i16x8.relaxed_dot_i8x16_i7x16_s(x, w0));
      c11 = i16x8.add(c11, i16x8.relaxed_dot_i8x16_i7x16_s(x, w1));
      x = v128.load32_splat(a2);
      c20 = i16x8.add(c20, i16x8.relaxed_dot_i8x16_i7x16_s(x, w0));
      c21 = i16x8.add(c21, i16x8.relaxed_dot_i8x16_i7x16_s(x, w1));
      x = v128.load32_splat(a3);
      c30 = i16x8.add(c30, i16x8.relaxed_dot_i8x16_i7x16_s(x, w0));
      c31 = i16x8.add(c31, i16x8.relaxed_dot_i8x16_i7x16_s(x, w1));
      a0 += 4;
      a1 += 4;
      a2 += 4;
      a3 += 4;
      panel += 32;
    }
    c00 = pair(c00); c01 = pair(c01);
    c10 = pair(c10); c11 = pair(c11);
    c20 = pair(c20); c21 = pair(c21);
    c30 = pair(c30); c31 = pair(c31);
    const kind = entry >> 16;
    if (kind != SEG_ONLY) {
      const int = intAddress();
      if (kind == SEG_FIRST) {
        v128.store(int, c00); v128.store(int, c01, 16);
        v128.store(int, c10, 32); v128.store(int, c11, 48);
        v128.store(int, c20, 64); v128.store(int, c21, 80);
        v128.store(int, c30, 96); v128.store(int, c31, 112);
        continue;
      }
      if (kind == SEG_MIDDLE) {
        addTo(int, 0, c00); addTo(int, 16, c01);
        addTo(int, 32, c10); addTo(int, 48, c11);
        addTo(int, 64, c20); addTo(int, 80, c21);
        addTo(int, 96, c30); addTo(int, 112, c31);
        continue;
      }
      c00 = i32x4.add(c00, v128.load(int)); c01 = i32x4.add(c01, v128.load(int, 16));
      c10 = i32x4.add(c10, v128.load(int, 32)); c11 = i32x4.add(c11, v128.load(int, 48));
      c20 = i32x4.add(c20, v128.load(int, 64)); c21 = i32x4.add(c21, v128.load(int, 80));
      c30 = i32x4.add(c30, v128.load(int, 96)); c31 = i32x4.add(c31, v128.load(int, 112));
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
