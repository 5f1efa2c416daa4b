/**
 * Float matrix products. Four rows and more: b packed into panels of 8 columns, tiles of tile-float.ts. Fewer rows (a network's
 * last layer): packing would cost more than the product, so b is streamed once.
 */
import { alloc, free } from './heap';
import { setActivation, writeTile } from './epilogue';
import { TILE_C } from './layout';
import { PRELU, activate4, ceilDiv, madd, round4, storeLanes } from './math';
import { packScales } from './pack';
import { tileFloat } from './tile-float';

/** Rows of a over which one panel of b is used before the next. */
const CHUNK: i32 = 64;

/** b: [k][n], or [n][k] if transposed, to [n / 8][k][8] with zeros beyond n. */
function packPanels(b: usize, dst: usize, k: i32, n: i32, transposed: bool): void {
  for (let o = 0; o < n; o += TILE_C) {
    const whole = o + TILE_C <= n;
    let i = 0;
    if (whole && !transposed) {
      let from = b + (<usize>o << 2);
      for (; i < k; i++) {
        v128.store(dst, v128.load(from));
        v128.store(dst, v128.load(from, 16), 16);
        from += <usize>n << 2;
        dst += 32;
      }
    } else if (whole) {
      const row = <usize>k << 2;
      let from = b + <usize>o * row;
      for (; i + 4 <= k; i += 4) {
        transpose4(from, row, dst);
        transpose4(from + 4 * row, row, dst + 16);
        from += 16;
        dst += 128;
      }
    }
    for (; i < k; i++) {
      if (!transposed) {
        dst = packScales(dst, b + (<usize>i * n << 2), o, n);
        continue;
      }
      for (let c = 0; c < TILE_C; c++) {
        f32.store(dst, o + c < n ? f32.load(b + ((<usize>(o + c) * k + i) << 2)) : 0);
        dst += 4;
      }
    }
  }
}

/** 4 * 4 floats, rows `row` bytes apart, to 4 vectors 32 bytes apart. */
// @ts-ignore: decorator
@inline function transpose4(from: usize, row: usize, to: usize): void {
  const a = v128.load(from), b = v128.load(from + row), c = v128.load(from + 2 * row), d = v128.load(from + 3 * row);
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const ab2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7), cd2 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2));
  v128.store(to, v128.shuffle<i64>(ab, cd, 1, 3), 32);
  v128.store(to, v128.shuffle<i64>(ab2, cd2, 0, 2), 64);
  v128.store(to, v128.shuffle<i64>(ab2, cd2, 1, 3), 96);
}

/** Rows first .. first+3 of a (of m) to dst [4][k]; zeros beyond m. */
function packRows(a: usize, dst: usize, first: i32, m: i32, k: i32, transposed: bool): void {
  for (let r = first; r < first + 4; r++) {
    for (let i = 0; i < k; i++) {
      const at = transposed ? <usize>i * m + r : <usize>r * k + i;
      f32.store(dst, r < m ? f32.load(a + (at << 2)) : 0);
      dst += 4;
    }
  }
}

/** y[n] = a[k] · b[k][n]; step: bytes from one a to the next. */
function vectorTimesMatrix(a: usize, step: usize, b: usize, y: usize, k: i32, n: i32): void {
  const ldb = <usize>n << 2;
  memory.fill(y, 0, ldb);
  let i = 0;
  for (; i + 8 <= k; i += 8) {
    const half = a + 4 * step;
    const a0 = v128.load32_splat(a), a1 = v128.load32_splat(a + step), a2 = v128.load32_splat(a + 2 * step), a3 = v128.load32_splat(a + 3 * step);
    const a4 = v128.load32_splat(half), a5 = v128.load32_splat(half + step), a6 = v128.load32_splat(half + 2 * step), a7 = v128.load32_splat(half + 3 * step);
    let p = b, p4 = b + 4 * ldb, q = y;
    for (let o = 0; o < n; o += 4) {
      // Two sums, so that the chain is short.
      let v = madd(a0, v128.load(p), v128.load(q)), u = f32x4.mul(a4, v128.load(p4));
      v = madd(a1, v128.load(p + ldb), v);
      u = madd(a5, v128.load(p4 + ldb), u);
      v = madd(a2, v128.load(p + 2 * ldb), v);
      u = madd(a6, v128.load(p4 + 2 * ldb), u);
      v = madd(a3, v128.load(p + 3 * ldb), v);
      u = madd(a7, v128.load(p4 + 3 * ldb), u);
      v = f32x4.add(v, u);
      if (n - o >= 4) v128.store(q, v);
      else storeLanes(q, v, n - o);
      p += 16;
      p4 += 16;
      q += 16;
    }
    a += 8 * step;
    b += 8 * ldb;
  }
  for (; i < k; i++) {
    const a0 = f32.load(a);
    for (let o: usize = 0; o < ldb; o += 4) f32.store(y + o, f32.load(y + o) + a0 * f32.load(b + o));
    a += step;
    b += ldb;
  }
}

/** y[n] = a[k] · b[n][k]; a contiguous. */
function vectorTimesTransposed(a: usize, b: usize, y: usize, k: i32, n: i32): void {
  for (let o = 0; o < n; o++) {
    let s0 = f32x4.splat(0), s1 = s0;
    let i = 0, p = a;
    for (; i + 8 <= k; i += 8) {
      s0 = madd(v128.load(p), v128.load(b), s0);
      s1 = madd(v128.load(p, 16), v128.load(b, 16), s1);
      p += 32;
      b += 32;
    }
    s0 = f32x4.add(s0, s1);
    let sum = f32x4.extract_lane(s0, 0) + f32x4.extract_lane(s0, 1) + (f32x4.extract_lane(s0, 2) + f32x4.extract_lane(s0, 3));
    for (; i < k; i++) {
      sum += f32.load(p) * f32.load(b);
      p += 4;
      b += 4;
    }
    f32.store(y, sum);
    y += 4;
  }
}

function finishRow(y: usize, n: i32, bias: usize, kind: i32, alpha: f32, alphas: usize): void {
  for (let o = 0; o < n; o += 4) {
    const at = <usize>o << 2;
    let v = v128.load(y + at);
    if (bias) v = f32x4.add(v, v128.load(bias + at));
    storeLanes(y + at, activate4(v, kind, kind == PRELU ? v128.load(alphas + at) : f32x4.splat(alpha)), n - o);
  }
}

export function matmul(
  a: usize, b: usize, y: usize, batch: i32, m: i32, k: i32, n: i32, transposeA: i32, transposeB: i32, aStride: i32, bStride: i32,
  bias: usize, activation: i32, alpha: f32, alphas: usize,
): i32 {
  if (batch < 0 || m < 0 || k < 0 || n < 0 || activation < 0 || activation > PRELU || (activation == PRELU && !alphas)) return 2;
  if (m == 0 || n == 0) return 0;
  const ldy = <usize>n << 2;
  if (m < 4) {
    const rowCopy = transposeA && transposeB ? alloc(<usize>max(k, 1) << 2) : 0;
    if (transposeA && transposeB && !rowCopy) return 1;
    for (let t = 0; t < batch; t++) {
      for (let r = 0; r < m; r++) {
        const at = transposeA ? r : r * k, apart = transposeA ? m : 1;
        const row = a + (<usize>at << 2), step = <usize>apart << 2;
        if (!transposeB) vectorTimesMatrix(row, step, b, y, k, n);
        else {
          for (let i: usize = 0; rowCopy && i < <usize>k; i++) store<u32>(rowCopy + (i << 2), load<u32>(row + i * step));
          vectorTimesTransposed(rowCopy ? rowCopy : row, b, y, k, n);
        }
        if (bias || activation) finishRow(y, n, bias, activation, alpha, alphas);
        y += ldy;
      }
      a += <usize>aStride << 2;
      b += <usize>bStride << 2;
    }
    free(rowCopy);
    return 0;
  }
  const tiles = ceilDiv(n, TILE_C), panel = <usize>k << 5;
  if (<u64>tiles * panel + (<u64>round4(m) * k << 2) > 0xffff0000) return 1;
  const copied = transposeA ? round4(m) : 4, rowsBytes = <usize>copied * k << 2;
  const panels = alloc(<usize>tiles * panel + rowsBytes + 16);
  if (!panels) return 1;
  const rows = panels + <usize>tiles * panel, lda = <usize>k << 2;
  setActivation(activation, alpha);
  for (let t = 0; t < batch; t++) {
    if (t == 0 || bStride) packPanels(b, panels, k, n, transposeB != 0);
    const full = transposeA ? 0 : m & ~3;
    if (full < m && (t == 0 || aStride)) {
      for (let i = full; i < m; i += 4) packRows(a, rows + (<usize>(i - full) * k << 2), i, m, k, transposeA != 0);
    }
    for (let first = 0; first < m; first += CHUNK) {
      const end = min(m, first + CHUNK);
      for (let o = 0; o < n; o += TILE_C) {
        const at = <usize>o << 2, tile = panels + <usize>(o >> 3) * panel;
        for (let i = first; i < end; i += 4) {
          tileFloat(i < full ? a + <usize>i * lda : rows + <usize>(i - full) * lda, lda, tile, k);
          writeTile(y + <usize>i * ldy + at, ldy, min(4, m - i), min(TILE_C, n - o), 0, bias ? bias + at : 0, 0, alphas + at);
        }
      }
    }
    a += <usize>aStride << 2;
    b += <usize>bStride << 2;
    y += <usize>m * ldy;
  }
  free(panels);
  return 0;
}
