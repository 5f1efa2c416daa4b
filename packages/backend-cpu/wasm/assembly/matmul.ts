/**
 * Float matrix products. Four rows and more: b packed into panels of 8 columns, tiles of tile-float.ts. Fewer rows (a network's
 * last layer): packing would cost more than the product, so b is streamed once.
 */
import { alloc, free } from './heap';
import { setActivation, writeTile } from './epilogue';
import { MATMUL, MATMUL_PACK, MATMUL_VECTOR, arg, setArg } from './job-kinds';
import { TILE_C } from './layout';
import { PRELU, activate4, ceilDiv, madd, round4, storeLanes } from './math';
import { packScales } from './pack';
import { PARTS_PER_THREAD, partBegin, partsOf, runJob, threadsFor } from './threads';
import { tileFloat } from './tile-float';

/** Rows of a over which one panel of b is used before the next. */
const CHUNK: i32 = 64;

/** Columns begin .. end - 1 of b, [k][n], or [n][k] if transposed, to [n / 8][k][8] with zeros beyond n. begin: a multiple of 8. */
function packPanels(b: usize, panels: usize, k: i32, n: i32, transposed: bool, begin: i32, end: i32): void {
  let dst = panels + (<usize>begin * k << 2);
  for (let o = begin; o < end; o += TILE_C) {
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

/** y[n] = a[k] · b[k][n], `ldb` bytes from row to row of b; step: bytes from one a to the next. */
function vectorTimesMatrix(a: usize, step: usize, b: usize, ldb: usize, y: usize, k: i32, n: i32): void {
  memory.fill(y, 0, <usize>n << 2);
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
    for (let o: usize = 0, end = <usize>n << 2; o < end; o += 4) f32.store(y + o, f32.load(y + o) + a0 * f32.load(b + o));
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

/** Words of a matmul's job. */
const M_A: i32 = 0, M_B: i32 = 1, M_Y: i32 = 2, M_M: i32 = 3, M_K: i32 = 4, M_N: i32 = 5, M_TRANSPOSE_A: i32 = 6, M_TRANSPOSE_B: i32 = 7;
const M_BIAS: i32 = 8, M_ACTIVATION: i32 = 9, M_ALPHA: i32 = 10, M_ALPHAS: i32 = 11, M_PANELS: i32 = 12, M_ROWS: i32 = 13, M_SPLITS: i32 = 14;

/** Columns of a part where there are fewer rows than a tile has. */
const VECTOR_COLUMNS: i32 = 64;

export function matmul(
  a: usize, b: usize, y: usize, batch: i32, m: i32, k: i32, n: i32, transposeA: i32, transposeB: i32, aStride: i32, bStride: i32,
  bias: usize, activation: i32, alpha: f32, alphas: usize,
): i32 {
  if (batch < 0 || m < 0 || k < 0 || n < 0 || activation < 0 || activation > PRELU || (activation == PRELU && !alphas)) return 2;
  if (m == 0 || n == 0) return 0;
  const ldy = <usize>n << 2;
  setArg(M_M, m);
  setArg(M_K, k);
  setArg(M_N, n);
  setArg(M_TRANSPOSE_A, transposeA);
  setArg(M_TRANSPOSE_B, transposeB);
  setArg(M_BIAS, bias);
  setArg(M_ACTIVATION, activation);
  setArg(M_ALPHA, alpha);
  setArg(M_ALPHAS, alphas);
  if (m < 4) {
    const rowCopy = transposeA && transposeB ? alloc(<usize>max(k, 1) << 2) : 0;
    if (transposeA && transposeB && !rowCopy) return 1;
    setArg(M_PANELS, rowCopy);
    // b is read once for each row: four to a multiply-accumulate.
    const threads = threadsFor(<u64>k * n << 2);
    for (let t = 0; t < batch; t++) {
      setArg(M_B, b);
      for (let r = 0; r < m; r++) {
        const row = a + (<usize>(transposeA ? r : r * k) << 2);
        for (let i: usize = 0; rowCopy && i < <usize>k; i++) store<u32>(rowCopy + (i << 2), load<u32>(row + (i * m << 2)));
        setArg(M_A, rowCopy ? rowCopy : row);
        setArg(M_Y, y);
        runJob(MATMUL_VECTOR, partsOf(n, VECTOR_COLUMNS, threads), threads);
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
  const rows = panels + <usize>tiles * panel;
  setActivation(activation, alpha);
  setArg(M_PANELS, panels);
  setArg(M_ROWS, rows);
  const packing = threadsFor(<u64>k * n << 4), threads = threadsFor(<u64>m * k * n);
  const chunks = ceilDiv(m, CHUNK), splits = threads == 1 ? 1 : min(tiles, ceilDiv(threads * PARTS_PER_THREAD, chunks));
  setArg(M_SPLITS, splits);
  for (let t = 0; t < batch; t++) {
    setArg(M_A, a);
    setArg(M_B, b);
    setArg(M_Y, y);
    if (t == 0 || bStride) runJob(MATMUL_PACK, partsOf(n, TILE_C, packing), packing);
    const full = transposeA ? 0 : m & ~3;
    if (full < m && (t == 0 || aStride)) {
      for (let i = full; i < m; i += 4) packRows(a, rows + (<usize>(i - full) * k << 2), i, m, k, transposeA != 0);
    }
    runJob(MATMUL, chunks * splits, threads);
    a += <usize>aStride << 2;
    b += <usize>bStride << 2;
    y += <usize>m * ldy;
  }
  free(panels);
  return 0;
}

/** In a helper: what the caller's instance knows from the call. */
export function beginMatmul(): void { setActivation(arg<i32>(M_ACTIVATION), arg<f32>(M_ALPHA)); }

/** One row of y, some of its columns. */
export function vectorPart(part: i32, parts: i32): void {
  const k = arg<i32>(M_K), all = arg<i32>(M_N), activation = arg<i32>(M_ACTIVATION), alphas = arg<usize>(M_ALPHAS);
  const begin = partBegin(part, parts, all, VECTOR_COLUMNS), n = partBegin(part + 1, parts, all, VECTOR_COLUMNS) - begin;
  const at = <usize>begin << 2, y = arg<usize>(M_Y) + at;
  if (arg<i32>(M_TRANSPOSE_B)) {
    vectorTimesTransposed(arg<usize>(M_A), arg<usize>(M_B) + at * k, y, k, n);
  } else {
    const apart = arg<i32>(M_TRANSPOSE_A) ? arg<i32>(M_M) : 1, step = <usize>apart << 2;
    vectorTimesMatrix(arg<usize>(M_A), step, arg<usize>(M_B) + at, <usize>all << 2, y, k, n);
  }
  const bias = arg<usize>(M_BIAS);
  if (bias || activation) finishRow(y, n, bias ? bias + at : 0, activation, arg<f32>(M_ALPHA), alphas + at);
}

export function packPart(part: i32, parts: i32): void {
  const n = arg<i32>(M_N);
  const begin = partBegin(part, parts, n, TILE_C), end = partBegin(part + 1, parts, n, TILE_C);
  packPanels(arg<usize>(M_B), arg<usize>(M_PANELS), arg<i32>(M_K), n, arg<i32>(M_TRANSPOSE_B) != 0, begin, end);
}

/** A chunk of rows of y, some of its columns. */
export function matmulPart(part: i32, parts: i32): void {
  const m = arg<i32>(M_M), k = arg<i32>(M_K), n = arg<i32>(M_N), splits = arg<i32>(M_SPLITS), panels = arg<usize>(M_PANELS);
  const first = (part / splits) * CHUNK, split = part % splits;
  const end = min(m, first + CHUNK), full = arg<i32>(M_TRANSPOSE_A) ? 0 : m & ~3;
  const a = arg<usize>(M_A), y = arg<usize>(M_Y), rows = arg<usize>(M_ROWS), bias = arg<usize>(M_BIAS), alphas = arg<usize>(M_ALPHAS);
  const ldy = <usize>n << 2, lda = <usize>k << 2, panel = <usize>k << 5;
  for (let o = partBegin(split, splits, n, TILE_C), oEnd = partBegin(split + 1, splits, n, TILE_C); o < oEnd; o += TILE_C) {
    const at = <usize>o << 2, tile = panels + <usize>(o >> 3) * panel;
    for (let i = first; i < end; i += 4) {
      tileFloat(i < full ? a + <usize>i * lda : rows + <usize>(i - full) * lda, lda, tile, k);
      writeTile(y + <usize>i * ldy + at, ldy, min(4, m - i), min(TILE_C, n - o), 0, bias ? bias + at : 0, 0, alphas + at);
    }
  }
}
