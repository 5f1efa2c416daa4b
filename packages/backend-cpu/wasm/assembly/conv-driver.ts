/**
 * The loops of a convolution around the tiles: for each group, for each chunk of output pixels whose rows stay in the L2
 * cache: gather the rows (not for pointwise convolutions), then per tile of 8 channels unpack the weights into a panel that
 * stays in the L1 cache, and run all row tiles of the chunk over it.
 */
import { alloc, free } from './heap';
import { TILE_C, segmentDepths, segmentsOf, paddedDepth, blocksOf } from './layout';
import { batch, isPointwise, kh, kw, outH, outW } from './call';
import { round4 } from './math';
import { clearAcc } from './scratch';
import { gather, setRows, setScales, setStarts } from './gather';
import { SEG_FIRST, SEG_LAST, SEG_MIDDLE, SEG_ONLY, tileI8 } from './tile-i8-relaxed';
import { tileI16 } from './tile-i16';
import { tileFloat, tileStem } from './tile-float';
import { unpackF32, unpackI16, unpackU8 } from './unpack';
import { writeTile } from './epilogue';

export const PATH_I8: i32 = 0;
export const PATH_I16: i32 = 1;
export const PATH_STEM: i32 = 2;
export const PATH_WEIGHT_ONLY: i32 = 3;
export const PATH_FLOAT: i32 = 4;

/** Bytes of gathered rows per chunk: half of a 1 MiB L2 would do, a quarter leaves room for the output. */
const CHUNK_BYTES: i32 = 196608;
const CHUNK_MAX: i32 = 256;

const ONES: usize = memory.data<f32>([1, 1, 1, 1, 1, 1, 1, 1], 16);
const ZEROS: usize = memory.data<f32>([0, 0, 0, 0, 0, 0, 0, 0], 16);

/** What a driver call works on; filled by conv.ts. Offsets into tables are for group 0. */
// @ts-ignore: decorator
@unmanaged
export class Plan {
  path: i32;
  depth: i32;
  out: i32;
  groups: i32;
  block: i32;
  storage: i32;
  /** Rows: an image's, or x itself (raw: no rows beyond the last pixel). */
  rows: usize;
  stride: usize;
  raw: bool;
  scales: usize;
  starts: usize;
  sums: usize;
  /** Packed weights; scales and shift bias of the filter. */
  weights: usize;
  perBlock: bool;
  ks: usize;
  kb: usize;
  y: usize;
  bias: usize;
  residual: usize;
  alphas: usize;
}

/** Table of segments (PATH_I8) or blocks, for all taps: steps of 4 depths, or depths for the float tiles. */
function fillTable(at: usize, p: Plan, taps: i32): void {
  const segment = segmentDepths(p.storage);
  for (let t = 0; t < taps; t++) {
    for (let c = 0; c < p.depth; c += p.block) {
      const n = min(p.block, p.depth - c);
      if (p.path != PATH_I8) {
        store<u32>(at, p.path == PATH_I16 ? (n + 3) >> 2 : n);
        at += 4;
        continue;
      }
      for (let i = 0; i < n; i += segment) {
        const first = i == 0, last = i + segment >= n;
        const kind = first && last ? SEG_ONLY : first ? SEG_FIRST : last ? SEG_LAST : SEG_MIDDLE;
        store<u32>(at, ((min(segment, n - i) + 3) >> 2) | kind << 16);
        at += 4;
      }
    }
  }
}

/** The panel of one channel tile. src: its packed weights; ks, kb: its scales and shift bias. Returns the end of src. */
function unpackTile(p: Plan, src: usize, panel: usize, taps: i32, ks: usize, kb: usize): usize {
  const padded = paddedDepth(p.depth, p.block);
  const cells = taps * padded >> 2;
  const end = src + <usize>cells * (p.storage << 2);
  if (p.path == PATH_I8) {
    if (ASC_FEATURE_RELAXED_SIMD) unpackU8(src, panel, cells, p.storage);
    return end;
  }
  if (p.path == PATH_I16) {
    unpackI16(src, panel, cells, p.storage);
    return end;
  }
  for (let t = 0; t < taps; t++) {
    for (let c = 0; c < p.depth; c += p.block) {
      const n = min(p.block, p.depth - c);
      if (p.path == PATH_STEM) {
        unpackF32(src, panel, n, p.storage, ONES, ZEROS);
      } else {
        unpackF32(src, panel, n, p.storage, ks, kb ? kb : ZEROS);
        if (p.perBlock) ks += 32;
        if (kb) kb += 32;
      }
      src += <usize>(round4(n) >> 2) * (p.storage << 2);
      panel += <usize>n << 5;
    }
  }
  return end;
}

export function runConv(p: Plan): i32 {
  const taps = kh * kw, pixels = batch * outH * outW;
  const per = p.out / p.groups;
  if (pixels == 0 || per == 0) return 0;
  const integer = p.path <= PATH_I16;
  const nb = blocksOf(p.depth, p.block);
  const ns = p.path == PATH_I8 ? segmentsOf(p.depth, p.block, segmentDepths(p.storage)) : 0;
  const unit = integer ? paddedDepth(p.depth, p.block) << p.path : p.depth << 2;
  const k = taps * unit;
  const direct = isPointwise();

  const chunk = max(16, min(CHUNK_MAX, CHUNK_BYTES / max(k, 1)) & ~3);
  const rowsBytes: usize = (<usize>(direct ? p.raw ? 4 : 0 : chunk) * k + 79) & ~15;
  const scalesBytes: usize = direct || !integer ? 0 : <usize>chunk * (taps * nb) << 2;
  const startsBytes: usize = direct ? 0 : <usize>chunk * (taps * ns) << 2;
  const panelBytes: usize = (<usize>k << 3) + 160;
  const tableBytes: usize = <usize>(taps * max(nb, ns)) << 2;
  const scratch = alloc(rowsBytes + 2 * scalesBytes + startsBytes + panelBytes + tableBytes);
  if (!scratch) return 1;
  const rows = scratch, scales = rows + rowsBytes, sums = scales + scalesBytes, starts = sums + scalesBytes;
  const panel = starts + startsBytes, table = panel + panelBytes;
  fillTable(table, p, taps);

  const ldy = <usize>p.out << 2;
  const perTile = p.perBlock ? <usize>(taps * nb) << 5 : 32;
  const shiftPerTile = <usize>(taps * nb) << 5;
  let groupWeights = p.weights, groupKs = p.ks, groupKb = p.kb;
  for (let g = 0; g < p.groups; g++) {
    const from = p.rows + <usize>g * unit;
    const scalesFrom = p.scales + (<usize>(g * nb) << 4), startsFrom = p.starts + (<usize>(g * ns) << 4);
    const sumsFrom = p.sums ? p.sums + (<usize>(g * nb) << 4) : 0;
    setRows(from, p.stride, unit);
    if (integer) setScales(scalesFrom, p.groups * nb, nb, sumsFrom);
    setStarts(startsFrom, p.groups * ns, ns);
    let nextWeights = groupWeights, nextKs = groupKs, nextKb = groupKb;
    for (let first = 0; first < pixels; first += chunk) {
      const count = min(chunk, pixels - first);
      const full = count & ~3;
      if (!direct) gather(first, round4(count), rows, scales, starts, sums);
      else if (p.raw && full < count) gather(first + full, 4, rows, 0, 0, 0);
      let w = groupWeights, ks = groupKs, kb = groupKb;
      for (let o = g * per, oEnd = o + per; o < oEnd; o += TILE_C) {
        const channels = min(TILE_C, oEnd - o);
        let tilePanel = panel;
        if (p.path == PATH_FLOAT) {
          tilePanel = w;
          w += <usize>(taps * p.depth) << 5;
        } else {
          w = unpackTile(p, w, panel, taps, ks, kb);
        }
        const at = <usize>o << 2;
        for (let i = 0; i < count; i += 4) {
          let a = rows + <usize>i * k, lda: usize = k;
          let sc = scales + (<usize>i * (taps * nb) << 2), st = starts + (<usize>i * (taps * ns) << 2);
          let sm = sumsFrom ? sums + (<usize>i * (taps * nb) << 2) : 0;
          if (direct) {
            a = from + <usize>(first + i) * p.stride;
            lda = p.stride;
            if (p.raw && i == full) {
              a = rows;
              lda = k;
            }
            const tile = <usize>((first + i) >> 2) << 4;
            sc = scalesFrom + tile * (p.groups * nb);
            st = startsFrom + tile * (p.groups * ns);
            if (sumsFrom) sm = sumsFrom + tile * (p.groups * nb);
          }
          if (integer) {
            clearAcc();
            const blockScales = p.perBlock ? ks : 0;
            if (ASC_FEATURE_RELAXED_SIMD && p.path == PATH_I8) tileI8(a, lda, st, sc, sm, tilePanel, table, taps * ns, blockScales, kb);
            else tileI16(a, lda, sc, sm, tilePanel, table, taps * nb, blockScales, kb);
          } else if (p.path == PATH_STEM) {
            tileStem(a, lda, tilePanel, table, taps * nb);
          } else {
            tileFloat(a, lda, tilePanel, taps * p.depth);
          }
          const offset = (<usize>(first + i) * ldy) + at;
          const cs = p.path == PATH_STEM || (integer && !p.perBlock) ? ks : 0;
          writeTile(
            p.y + offset, ldy, min(4, count - i), channels, cs, p.bias ? p.bias + at : 0,
            p.residual ? p.residual + offset : 0, p.alphas + at,
          );
        }
        ks += perTile;
        if (kb) kb += shiftPerTile;
      }
      nextWeights = w;
      nextKs = ks;
      nextKb = kb;
    }
    groupWeights = nextWeights;
    groupKs = nextKs;
    groupKb = nextKb;
  }
  free(scratch);
  return 0;
}
