/**
 * Gathering the rows of a chunk of output pixels: [pixel][tap][unit], so that the tiles see a plain matrix product whatever the
 * stride, dilation and padding. Once per chunk and group, then read by every channel tile.
 */
import {
  batch, dilationH, dilationW, inH, inW, kh, kw, outH, outW, padLeft, padTop, strideH, strideW,
} from './call';

/** Where rows come from and go to; set per call (and per group) by the driver. */
export let rowsFrom: usize = 0, rowStride: usize = 0, rowBytes: usize = 0;
/** Words per pixel and tap in the interleaved tables, from: entries of a whole row and offset of this group's first. */
export let scalesFrom: usize = 0, scaleEntries: i32 = 0, scaleCount: i32 = 0;
export let startsFrom: usize = 0, startEntries: i32 = 0, startCount: i32 = 0;
export let sumsFrom: usize = 0;

export function setRows(from: usize, stride: usize, bytes: usize): void {
  rowsFrom = from;
  rowStride = stride;
  rowBytes = bytes;
  scaleCount = 0;
  startCount = 0;
  sumsFrom = 0;
}

/** Tables interleaved by 4 pixels; `entries` per whole row, of which this group has `count` from `from` (already offset) on. */
export function setScales(from: usize, entries: i32, count: i32, sums: usize): void {
  scalesFrom = from;
  scaleEntries = entries;
  scaleCount = count;
  sumsFrom = sums;
}

export function setStarts(from: usize, entries: i32, count: i32): void {
  startsFrom = from;
  startEntries = entries;
  startCount = count;
}

// @ts-ignore: decorator
@inline function copyRow(to: usize, from: usize, bytes: usize): void {
  const end = to + bytes;
  while (to + 16 <= end) {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  }
  while (to < end) {
    store<u32>(to, load<u32>(from));
    to += 4;
    from += 4;
  }
}

// @ts-ignore: decorator
@inline function zeroRow(to: usize, bytes: usize): void {
  const end = to + bytes, zero = i32x4.splat(0);
  while (to + 16 <= end) {
    v128.store(to, zero);
    to += 16;
  }
  while (to < end) {
    store<u32>(to, 0);
    to += 4;
  }
}

/** `count` words, 16 bytes apart on both sides. */
// @ts-ignore: decorator
@inline function copyLanes(to: usize, from: usize, count: i32): void {
  for (; count > 0; count--) {
    store<u32>(to, load<u32>(from));
    to += 16;
    from += 16;
  }
}

// @ts-ignore: decorator
@inline function zeroLanes(to: usize, count: i32): void {
  for (; count > 0; count--) {
    store<u32>(to, 0);
    to += 16;
  }
}

/**
 * Output pixels first .. first + count - 1 to `rows` ([count][taps][rowBytes]), `scales`, `starts` and `sums` ([count / 4][taps * n][4]).
 * Padding taps become zeros in all of them.
 */
export function gather(first: i32, count: i32, rows: usize, scales: usize, starts: usize, sums: usize): void {
  const taps = kh * kw;
  let x = first % outW, rest = first / outW;
  let y = rest % outH, n = rest / outH;
  let to = rows;
  const contiguous = dilationW == 1 && rowBytes == rowStride && scaleCount == 0 && startCount == 0;
  const lineBytes = <usize>kw * rowBytes;
  for (let p = 0; p < count; p++) {
    const lane = <usize>(p & 3) << 2, tile = <usize>(p >> 2);
    let toScale = scales + (tile * (taps * scaleCount) << 4) + lane;
    let toStart = starts + (tile * (taps * startCount) << 4) + lane;
    let toSum = sums + (tile * (taps * scaleCount) << 4) + lane;
    const left = x * strideW - padLeft;
    let iy = y * strideH - padTop;
    const inside = n < batch;
    for (let r = 0; r < kh; r++, iy += dilationH) {
      const lineInside = inside && <u32>iy < <u32>inH;
      const line = (n * inH + iy) * inW;
      let ix = left;
      // A row of taps that lies side by side in memory, without tables beside it, is one copy.
      if (contiguous && lineInside && ix >= 0 && ix + kw <= inW) {
        copyRow(to, rowsFrom + <usize>(line + ix) * rowStride, lineBytes);
        to += lineBytes;
        continue;
      }
      for (let s = 0; s < kw; s++, ix += dilationW) {
        if (lineInside && <u32>ix < <u32>inW) {
          const pixel = line + ix;
          copyRow(to, rowsFrom + <usize>pixel * rowStride, rowBytes);
          const fromLane = <usize>(pixel & 3) << 2, fromTile = <usize>(pixel >> 2) << 4;
          copyLanes(toScale, scalesFrom + fromTile * scaleEntries + fromLane, scaleCount);
          copyLanes(toStart, startsFrom + fromTile * startEntries + fromLane, startCount);
          if (sumsFrom) copyLanes(toSum, sumsFrom + fromTile * scaleEntries + fromLane, scaleCount);
        } else {
          zeroRow(to, rowBytes);
          zeroLanes(toScale, scaleCount);
          zeroLanes(toStart, startCount);
          if (sumsFrom) zeroLanes(toSum, scaleCount);
        }
        to += rowBytes;
        toScale += <usize>scaleCount << 4;
        toStart += <usize>startCount << 4;
        toSum += <usize>scaleCount << 4;
      }
    }
    if (++x == outW) {
      x = 0;
      if (++y == outH) {
        y = 0;
        n++;
      }
    }
  }
}
