/**
 * The loops of a convolution around the tiles: for each group, for each chunk of output pixels whose rows stay in the L2
 * cache: gather the rows (not for pointwise convolutions), then per tile of 8 channels unpack the weights into a panel that
 * stays in the L1 cache, and run all row tiles of the chunk over it. A part of the job is a chunk, or some of its channel tiles.
 */
import { alloc, free } from './heap';
import { TILE_C, segmentDepths, segmentsOf, paddedDepth, blocksOf } from './layout';
import { C_ACTIVATION, C_ALPHA, batch, isPointwise, kh, kw, outH, outW, readGeometry, subsample } from './call';
import { setActivation } from './epilogue';
import { CONV } from './job-kinds';
import { ceilDiv, round4 } from './math';
import { PLAN } from './memory-map';
import { gather, setRows, setScales, setStarts } from './gather';
import { setOutput, sweepFloat, sweepI16, sweepI8 } from './sweep';
import { SEG_FIRST, SEG_LAST, SEG_MIDDLE, SEG_ONLY } from './tile-i8-relaxed';
import { PARTS_PER_THREAD, ownSlot, runJob, slotsFor, threadsFor } from './threads';
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

/** What a driver call works on; filled by conv.ts, from `call` on by runConv. Offsets into tables are for group 0. */
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
  /** Of the call; `subsampled` where x is read as its subsampled image. */
  call: usize;
  subsampled: bool;
  direct: bool;
  /** Bytes of a tap's row and of all taps', blocks and segments of a tap, weights and scales of a channel tile. */
  unit: i32;
  k: i32;
  nb: i32;
  ns: i32;
  tileBytes: usize;
  perTile: usize;
  shiftPerTile: usize;
  /** Parts: chunks of so many pixels, each cut into `splits` ranges of the group's channel tiles. */
  chunk: i32;
  chunks: i32;
  splits: i32;
  tiles: i32;
  /** One slot of scratch for each thread, [rows][scales][sums][starts][panel]. */
  scratch: usize;
  slotBytes: usize;
  scalesAt: usize;
  sumsAt: usize;
  startsAt: usize;
  panelAt: usize;
  table: usize;
}

/** One for the life of the module: calls do not nest. */
export const plan = changetype<Plan>(PLAN);

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

/** The panel of one channel tile. src: its packed weights; ks, kb: its scales and shift bias. */
function unpackTile(p: Plan, src: usize, panel: usize, taps: i32, ks: usize, kb: usize): void {
  const padded = paddedDepth(p.depth, p.block);
  const cells = taps * padded >> 2;
  if (p.path == PATH_I8) {
    if (ASC_FEATURE_RELAXED_SIMD) unpackU8(src, panel, cells, p.storage);
    return;
  }
  if (p.path == PATH_I16) {
    unpackI16(src, panel, cells, p.storage);
    return;
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
}

/** Chunks and channel ranges: chunks of even length, and where they are few, several ranges of each. */
function cut(p: Plan, pixels: i32, threads: i32): void {
  const most = max(16, min(CHUNK_MAX, CHUNK_BYTES / max(p.k, 1)) & ~3);
  p.chunks = ceilDiv(pixels, most);
  p.chunk = round4(ceilDiv(pixels, p.chunks));
  p.chunks = ceilDiv(pixels, p.chunk);
  p.splits = threads == 1 ? 1 : min(p.tiles, ceilDiv(threads * PARTS_PER_THREAD, p.groups * p.chunks));
}

/** Places of the parts of a slot of scratch. Returns whether there is memory for so many slots. */
function layScratch(p: Plan, slots: i32): bool {
  const taps = kh * kw, integer = p.path <= PATH_I16;
  const k = <usize>p.k, chunk = <usize>p.chunk;
  const copied: usize = p.direct ? (p.raw ? 4 : 0) : chunk, rowsBytes = (copied * k + 79) & ~15;
  const scalesBytes: usize = p.direct || !integer ? 0 : chunk * (taps * p.nb) << 2;
  const startsBytes: usize = p.direct ? 0 : chunk * (taps * p.ns) << 2;
  p.scalesAt = rowsBytes;
  p.sumsAt = p.scalesAt + scalesBytes;
  p.startsAt = p.sumsAt + scalesBytes;
  p.panelAt = p.startsAt + startsBytes;
  // Slots share no cache lines but at their ends, where padding is.
  p.slotBytes = (p.panelAt + (k << 3) + 160 + 63) & ~63;
  const tableBytes = <usize>(taps * max(p.nb, p.ns)) << 2;
  const bytes = <u64>p.slotBytes * slots + tableBytes;
  p.scratch = bytes < 0xffff0000 ? alloc(<usize>bytes) : 0;
  p.table = p.scratch + p.slotBytes * slots;
  return p.scratch != 0;
}

/** @param call the record that the geometry was read from */
export function runConv(p: Plan, call: usize, subsampled: bool): i32 {
  const taps = kh * kw, pixels = batch * outH * outW;
  const per = p.out / p.groups;
  if (pixels == 0 || per == 0) return 0;
  p.call = call;
  p.subsampled = subsampled;
  p.nb = blocksOf(p.depth, p.block);
  p.ns = p.path == PATH_I8 ? segmentsOf(p.depth, p.block, segmentDepths(p.storage)) : 0;
  p.unit = p.path <= PATH_I16 ? paddedDepth(p.depth, p.block) << p.path : p.depth << 2;
  p.k = taps * p.unit;
  p.direct = isPointwise();
  p.tiles = ceilDiv(per, TILE_C);
  p.tileBytes = p.path == PATH_FLOAT
    ? <usize>(taps * p.depth) << 5
    : <usize>(taps * paddedDepth(p.depth, p.block) >> 2) * (p.storage << 2);
  p.perTile = p.perBlock ? <usize>(taps * p.nb) << 5 : 32;
  p.shiftPerTile = <usize>(taps * p.nb) << 5;
  let threads = threadsFor(<u64>pixels * p.out * taps * p.depth);
  cut(p, pixels, threads);
  if (!layScratch(p, slotsFor(threads))) {
    if (threads == 1) return 1;
    threads = 1;
    cut(p, pixels, 1);
    if (!layScratch(p, 1)) return 1;
  }
  fillTable(p.table, p, taps);
  startConv();
  runJob(CONV, p.groups * p.chunks * p.splits, threads);
  free(p.scratch);
  return 0;
}

/** Group and chunk that this thread gathered last. */
let gathered: i32 = -1;

function startConv(): void { gathered = -1; }

/** In a helper: what the caller's instance knows from the call. */
export function beginConv(): void {
  readGeometry(plan.call);
  if (plan.subsampled) subsample();
  setActivation(load<i32>(plan.call, C_ACTIVATION), load<f32>(plan.call, C_ALPHA));
  startConv();
}

export function convPart(part: i32): void {
  const p = plan;
  const taps = kh * kw, pixels = batch * outH * outW, per = p.out / p.groups;
  const integer = p.path <= PATH_I16, nb = p.nb, ns = p.ns, k = p.k;
  const split = part % p.splits, which = part / p.splits;
  const g = which / p.chunks, first = (which % p.chunks) * p.chunk;
  const direct = p.direct;
  const scratch = p.scratch + <usize>ownSlot() * p.slotBytes;
  const rows = scratch, scales = scratch + p.scalesAt, sums = scratch + p.sumsAt, starts = scratch + p.startsAt;
  const panel = scratch + p.panelAt, table = p.table;
  const ldy = <usize>p.out << 2;
  const from = p.rows + <usize>(g * p.unit);
  const scalesFrom = p.scales + (<usize>(g * nb) << 4), startsFrom = p.starts + (<usize>(g * ns) << 4);
  const sumsFrom = p.sums ? p.sums + (<usize>(g * nb) << 4) : 0;
  const count = min(p.chunk, pixels - first);
  const full = count & ~3;
  if (gathered != which) {
    gathered = which;
    setRows(from, p.stride, p.unit);
    if (integer) setScales(scalesFrom, p.groups * nb, nb, sumsFrom);
    setStarts(startsFrom, p.groups * ns, ns);
    if (!direct) gather(first, round4(count), rows, scales, starts, sums);
    else if (p.raw && full < count) gather(first + full, 4, rows, 0, 0, 0);
  }
  // Rows and tables of the chunk, and the way from one row tile to the next.
  const tile = <usize>(first >> 2) << 4;
  const a = direct ? from + <usize>first * p.stride : rows, lda = direct ? p.stride : <usize>k;
  const scStep = <usize>(direct ? p.groups * nb : taps * nb) << 4, stStep = <usize>(direct ? p.groups * ns : taps * ns) << 4;
  const sc = direct ? scalesFrom + tile * (p.groups * nb) : scales, st = direct ? startsFrom + tile * (p.groups * ns) : starts;
  const sm: usize = !sumsFrom ? 0 : direct ? sumsFrom + tile * (p.groups * nb) : sums;
  const firstTile = <i32>(<i64>p.tiles * split / p.splits), endTile = <i32>(<i64>p.tiles * (split + 1) / p.splits);
  const before = <usize>(g * p.tiles + firstTile);
  let w = p.weights + before * p.tileBytes, ks = p.ks + before * p.perTile;
  let kb: usize = p.kb ? p.kb + before * p.shiftPerTile : 0;
  const oEnd = (g + 1) * per;
  for (let o = g * per + firstTile * TILE_C, last = min(oEnd, g * per + endTile * TILE_C); o < last; o += TILE_C) {
    const channels = min(TILE_C, oEnd - o);
    let tilePanel = panel;
    if (p.path == PATH_FLOAT) tilePanel = w;
    else unpackTile(p, w, panel, taps, ks, kb);
    w += p.tileBytes;
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
    ks += p.perTile;
    if (kb) kb += p.shiftPerTile;
  }
}
