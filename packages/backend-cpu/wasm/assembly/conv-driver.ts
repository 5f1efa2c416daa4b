/**
 * The loops of a convolution around the tiles: for each group, for each chunk of output pixels whose rows stay in the L2
 * cache: gather the rows (not for pointwise convolutions), then per tile of 8 channels unpack the weights into a panel that
 * stays in the L1 cache, and run all row tiles of the chunk over it.
 */
import { alloc, free } from './heap';
import { TILE_C, segmentDepths, segmentsOf, paddedDepth, blocksOf } from './layout';
import { batch, isPointwise, kh, kw, outH, outW } from './call';
import { round4 } from './math';
import { gather, setRows, setScales, setStarts } from './gather';
import { setOutput, sweepFloat, sweepI16, sweepI8 } from './sweep';
import { SEG_FIRST, SEG_LAST, SEG_MIDDLE, SEG_ONLY } from './tile-i8-relaxed';
import { unpackF32, unpackI16, unpackU8 } from './unpack';

export const PATH_I8: i32 = 0;
export const PATH_I16: i32 = 1;
export const PATH_STEM: i32 = 2;
export const PATH_WEIGHT_ONLY: i32 = 3;
export const PATH_FLOAT: i32 = 4;

/** Bytes of rows, and pixels, per chunk at most: measured on 1 MiB of L2. Fewer pixels than 16 would not repay unpacking. */
const CHUNK_BYTES: i32 = 524288;
const CHUNK_MAX: i32 = 64;

const ONES: usize = memory.data<f32>([1, 1, 1, 1, 1, 1, 1, 1], 16);

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
        unpackF32(src, panel, n, p.storage, ONES, 0);
      } else {
        unpackF32(src, panel, n, p.storage, ks, kb);
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
      // Rows and tables of the chunk, and the way from one row tile to the next.
      const tile = <usize>(first >> 2) << 4;
      const a = direct ? from + <usize>first * p.stride : rows, lda = direct ? p.stride : <usize>k;
      const scStep = <usize>(direct ? p.groups * nb : taps * nb) << 4, stStep = <usize>(direct ? p.groups * ns : taps * ns) << 4;
      const sc = direct ? scalesFrom + tile * (p.groups * nb) : scales, st = direct ? startsFrom + tile * (p.groups * ns) : starts;
      const sm: usize = !sumsFrom ? 0 : direct ? sumsFrom + tile * (p.groups * nb) : sums;
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
        const offset = <usize>first * ldy + at;
        setOutput(
          p.y + offset, ldy, channels, p.path == PATH_STEM || (integer && !p.perBlock) ? ks : 0, p.bias ? p.bias + at : 0,
          p.residual ? p.residual + offset : 0, p.alphas + at,
        );
        const blockScales: usize = p.perBlock ? ks : 0;
        if (ASC_FEATURE_RELAXED_SIMD && p.path == PATH_I8) {
          sweepI8(count, a, lda, sc, scStep, st, stStep, sm, tilePanel, table, taps * ns, blockScales, kb);
        } else if (p.path == PATH_I16) {
          sweepI16(count, a, lda, sc, scStep, sm, tilePanel, table, taps * nb, blockScales, kb);
        } else {
          // x itself has no rows behind the last: those of a short last tile were gathered.
          const whole = direct && p.raw ? full : count;
          sweepFloat(whole, a, lda, tilePanel, table, p.path == PATH_STEM ? taps * nb : 0, taps * p.depth, p.depth == 3 && nb == 1);
          if (whole < count) sweepFloat(count - whole, rows, k, tilePanel, table, 0, taps * p.depth, false);
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
