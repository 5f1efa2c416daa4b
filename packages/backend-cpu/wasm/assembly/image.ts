/**
 * BFP images: a whole activation tensor as integer rows, one row per pixel, made once per convolution (or once for several).
 *
 * Rows are followed by zero rows up to a multiple of 4 and at least one: row number `pixels` is what padding taps point to,
 * with scale 0. Scales, starts and sums are interleaved by 4 pixels, [ceil][entry][4], as a row tile reads them.
 */
import { lastSum, maxBits, quantizeI16, quantizeI8, roundRows } from './bfp';
import { QUANTIZE, arg, setArg } from './job-kinds';
import { partBegin, partsOf, runJob, threadsFor } from './threads';
import { ceilDiv, round4 } from './math';
import {
  F_BLOCK, F_DEPTH, F_GROUPS, F_SHIFT, F_STORAGE, HEADER_BYTES, I_BYTES, I_KIND, I_MANTISSA, I_PIXELS, I_ROWS, I_SCALES,
  I_STARTS, I_STRIDE, I_SUMS, MAGIC_DS, MAGIC_IMAGE, ROW_F32, ROW_I16, ROW_I8, TILE_R, align16, blocksOf, paddedDepth, rowFormat,
  segmentDepths, segmentsOf, sumsAreExact,
} from './layout';

/** Bytes beyond the last row that the quantizer may zero. */
const ROW_SLACK: usize = 64;

export function bfp_image_kind(filter: usize): i32 {
  if (load<u32>(filter) != MAGIC_DS) return 0;
  const format = rowFormat(filter);
  const sums = load<u32>(filter, F_SHIFT) ? 1 : 0;
  const small = format == ROW_I8 && load<u32>(filter, F_STORAGE) == 2 ? 1 : 0;
  let h = (format << 2) | (sums << 1) | small;
  h = h * 0x01000193 ^ load<i32>(filter, F_GROUPS);
  h = h * 0x01000193 ^ load<i32>(filter, F_BLOCK);
  h = h * 0x01000193 ^ load<i32>(filter, F_DEPTH);
  return h | 1 << 30;
}

/** Fills the header of an image (at `image` if not 0) and returns its size. */
function layImage(filter: usize, pixels: i32, image: usize): u64 {
  const depth = load<i32>(filter, F_DEPTH), block = load<i32>(filter, F_BLOCK), groups = load<i32>(filter, F_GROUPS);
  const format = rowFormat(filter);
  const rows = round4(pixels + 1);
  const perRow = groups * (format == ROW_F32 ? depth : paddedDepth(depth, block));
  const stride = <u64>perRow * (format == ROW_F32 ? 4 : format == ROW_I16 ? 2 : 1);
  let at: u64 = HEADER_BYTES;
  const rowsAt = at;
  at = (at + <u64>rows * stride + ROW_SLACK + 15) & ~15;
  const scalesAt = at;
  const entries = <u64>rows * groups * blocksOf(depth, block) * 4;
  if (format != ROW_F32) at += entries;
  const startsAt = at;
  if (format == ROW_I8) at += <u64>rows * groups * segmentsOf(depth, block, segmentDepths(load<i32>(filter, F_STORAGE))) * 4;
  const sumsAt = at;
  if (format != ROW_F32 && load<u32>(filter, F_SHIFT)) at += entries;
  if (image) {
    store<u32>(image, MAGIC_IMAGE);
    store<u32>(image, bfp_image_kind(filter), I_KIND);
    store<u32>(image, pixels, I_PIXELS);
    store<u32>(image, <u32>rowsAt, I_ROWS);
    store<u32>(image, <u32>scalesAt, I_SCALES);
    store<u32>(image, <u32>startsAt, I_STARTS);
    store<u32>(image, <u32>sumsAt, I_SUMS);
    store<u32>(image, <u32>stride, I_STRIDE);
    store<u32>(image, <u32>at, I_BYTES);
  }
  return at;
}

export function bfp_image_bytes(filter: usize, pixels: i32): usize {
  if (load<u32>(filter) != MAGIC_DS || pixels < 0) return 0;
  const bytes = layImage(filter, pixels, 0);
  return bytes < 0xffff0000 ? <usize>bytes : 0;
}

export function bfp_quantize(
  filter: usize, x: usize, image: usize, batch: i32, height: i32, width: i32, channels: i32, strideH: i32, strideW: i32,
  mantissa: i32,
): i32 {
  if (load<u32>(filter) != MAGIC_DS || !sumsAreExact(filter, mantissa) || strideH < 1 || strideW < 1) return 2;
  const depth = load<i32>(filter, F_DEPTH), groups = load<i32>(filter, F_GROUPS);
  if (channels != depth * groups) return 2;
  const h = ceilDiv(height, strideH), w = ceilDiv(width, strideW);
  const pixels = batch * h * w;
  layImage(filter, pixels, image);
  store<u32>(image, mantissa, I_MANTISSA);
  const threads = threadsFor(<u64>pixels * channels << 4);
  setArg(0, filter);
  setArg(1, x);
  setArg(2, image);
  setArg(3, pixels);
  setArg(4, height);
  setArg(5, width);
  setArg(6, channels);
  setArg(7, strideH);
  setArg(8, strideW);
  setArg(9, mantissa);
  runJob(QUANTIZE, partsOf(pixels, TILE_R, threads), threads);
  zeroRows(image, pixels, filter);
  return 0;
}

/** Whole row tiles, since their tables are interleaved. */
export function quantizePart(part: i32, parts: i32): void {
  const filter = arg<usize>(0), x = arg<usize>(1), image = arg<usize>(2), pixels = arg<i32>(3), mantissa = arg<i32>(9);
  const height = arg<i32>(4), width = arg<i32>(5), channels = arg<i32>(6), strideH = arg<i32>(7), strideW = arg<i32>(8);
  let pixel = partBegin(part, parts, pixels, TILE_R);
  const end = partBegin(part + 1, parts, pixels, TILE_R);
  const bytes = <usize>channels << 2;
  if (strideH == 1 && strideW == 1) {
    quantizeRow(filter, image, pixel, x + <usize>pixel * bytes, end - pixel, bytes, mantissa);
    return;
  }
  const h = ceilDiv(height, strideH), w = ceilDiv(width, strideW);
  while (pixel < end) {
    const column = pixel % w, line = pixel / w;
    const from = ((line / h) * height + (line % h) * strideH) * width + column * strideW;
    pixel = quantizeRow(filter, image, pixel, x + <usize>from * bytes, min(end - pixel, w - column), bytes * strideW, mantissa);
  }
}

/** `count` pixels, `step` bytes apart in x, to the image's pixels from `pixel` on. Returns the next pixel. */
function quantizeRow(filter: usize, image: usize, pixel: i32, x: usize, count: i32, step: usize, mantissa: i32): i32 {
  const depth = load<i32>(filter, F_DEPTH), block = load<i32>(filter, F_BLOCK), groups = load<i32>(filter, F_GROUPS);
  const nb = blocksOf(depth, block), format = rowFormat(filter);
  const stride = load<usize>(image, I_STRIDE), rows = image + load<usize>(image, I_ROWS);
  if (format == ROW_F32) {
    for (let p = 0; p < count; p++, pixel++, x += step) {
      const to = rows + <usize>pixel * stride;
      memory.copy(to, x, stride);
      roundRows(to, to, groups, depth, block, mantissa);
    }
    return pixel;
  }
  const storage = load<i32>(filter, F_STORAGE);
  const segment = segmentDepths(storage), shift = storage == 2 ? 1 : 3;
  const ns = segmentsOf(depth, block, segment);
  const hasSums = load<u32>(filter, F_SHIFT) != 0;
  for (let p = 0; p < count; p++, pixel++, x += step) {
    const tile = <usize>(pixel >> 2), lane = <usize>(pixel & 3) << 2;
    let to = rows + <usize>pixel * stride;
    let scales = image + load<usize>(image, I_SCALES) + tile * (groups * nb << 4) + lane;
    let starts = image + load<usize>(image, I_STARTS) + tile * (groups * ns << 4) + lane;
    let sums = image + load<usize>(image, I_SUMS) + tile * (groups * nb << 4) + lane;
    // First the largest exponents of all blocks, kept where their scales will be: a block's conversion waits for its own, and
    // those of other blocks would wait with it.
    let from = x;
    for (let g = 0; g < groups; g++) {
      for (let c = 0; c < depth; c += block) {
        const n = min(block, depth - c);
        const bits = maxBits(from, n);
        let scale: f32;
        if (ASC_FEATURE_RELAXED_SIMD && format == ROW_I8) {
          scale = quantizeI8(from, n, bits, to, mantissa, segment, shift, starts);
          starts += ceilDiv(n, segment) << 4;
          to += round4(n);
        } else {
          scale = quantizeI16(from, n, bits, to, mantissa);
          to += round4(n) << 1;
        }
        f32.store(scales, scale);
        scales += 16;
        if (hasSums) {
          f32.store(sums, scale * <f32>lastSum);
          sums += 16;
        }
        from += n << 2;
      }
    }
  }
  return pixel;
}

/** The zero rows behind the last pixel: integers, scales, starts and sums. */
function zeroRows(image: usize, pixels: i32, filter: usize): void {
  const rows = round4(pixels + 1);
  const stride = load<usize>(image, I_STRIDE);
  memory.fill(image + load<usize>(image, I_ROWS) + <usize>pixels * stride, 0, <usize>(rows - pixels) * stride);
  const first = load<usize>(image, I_SCALES);
  zeroLanes(image + first, (load<usize>(image, I_STARTS) - first) / (rows << 2), pixels, rows);
  const second = load<usize>(image, I_STARTS);
  zeroLanes(image + second, (load<usize>(image, I_SUMS) - second) / (rows << 2), pixels, rows);
  const third = load<usize>(image, I_SUMS);
  zeroLanes(image + third, (load<usize>(image, I_BYTES) - third) / (rows << 2), pixels, rows);
}

/** table: [rows / 4][entries][4] words; zeroes those of rows pixels .. rows - 1 (which lie in the last tile). */
function zeroLanes(table: usize, entries: usize, pixels: i32, rows: i32): void {
  for (let r = pixels; r < rows; r++) {
    let at = table + (<usize>(r >> 2) * entries << 4) + (<usize>(r & 3) << 2);
    for (let e: usize = 0; e < entries; e++) {
      store<u32>(at, 0);
      at += 16;
    }
  }
}
