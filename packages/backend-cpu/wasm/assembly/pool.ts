/** Max and average pooling (NHWC), and the mean over the pixels; vectorised over channels. */
import { MEAN, POOL, arg, setArg } from './job-kinds';
import { ceilDiv, storeLanes } from './math';
import { partBegin, partsOf, runJob, threadsFor } from './threads';

/** First tap inside [0, size) when tap 0 is at `at`, and the end of those inside. */
// @ts-ignore: decorator
@inline function tapBegin(at: i32, k: i32, dilation: i32): i32 { return at < 0 ? min(k, ceilDiv(-at, dilation)) : 0; }
// @ts-ignore: decorator
@inline function tapEnd(at: i32, k: i32, dilation: i32, size: i32): i32 { return at >= size ? 0 : min(k, ceilDiv(size - at, dilation)); }

/** Rows begin .. end - 1 of the batch's rows of outputs. */
// @ts-ignore: decorator
@inline function pool(
  isMax: bool, begin: i32, end: i32, x: usize, y: usize, inH: i32, inW: i32, channels: i32, outH: i32, outW: i32, kh: i32, kw: i32,
  strideH: i32, strideW: i32, dilationH: i32, dilationW: i32, padTop: i32, padLeft: i32,
): void {
  const pixel = <usize>channels << 2;
  const colStep = <usize>dilationW * pixel, rowStep = <usize>(dilationH * inW) * pixel;
  const start = f32x4.splat(isMax ? -Infinity : 0);
  y += <usize>(begin * outW) * pixel;
  for (let line = begin; line < end; line++) {
    const b = line / outH, oy = line % outH;
    const iy = oy * strideH - padTop;
    const r0 = tapBegin(iy, kh, dilationH), r1 = tapEnd(iy, kh, dilationH, inH);
    for (let ox = 0; ox < outW; ox++) {
      const ix = ox * strideW - padLeft;
      const s0 = tapBegin(ix, kw, dilationW), s1 = tapEnd(ix, kw, dilationW, inW);
      const count = max(0, r1 - r0) * max(0, s1 - s0);
      const first = x + <usize>((b * inH + iy + r0 * dilationH) * inW + ix + s0 * dilationW) * pixel;
      const over = f32x4.splat(<f32>count);
      let c = 0;
      for (; c + 8 <= channels; c += 8) {
        let a0 = start, a1 = start, bad0 = f32x4.splat(0), bad1 = bad0, row = first + (<usize>c << 2);
        for (let r = r0; r < r1; r++) {
          let p = row;
          for (let s = s0; s < s1; s++) {
            const v0 = v128.load(p), v1 = v128.load(p, 16);
            if (isMax) {
              // pmax is one instruction but may drop a NaN: those are kept apart, as all ones, which is a NaN.
              a0 = f32x4.pmax(v0, a0);
              a1 = f32x4.pmax(v1, a1);
              bad0 = v128.or(bad0, f32x4.ne(v0, v0));
              bad1 = v128.or(bad1, f32x4.ne(v1, v1));
            } else {
              a0 = f32x4.add(a0, v0);
              a1 = f32x4.add(a1, v1);
            }
            p += colStep;
          }
          row += rowStep;
        }
        const to = y + (<usize>c << 2);
        v128.store(to, isMax ? v128.or(a0, bad0) : f32x4.div(a0, over));
        v128.store(to, isMax ? v128.or(a1, bad1) : f32x4.div(a1, over), 16);
      }
      for (; c < channels; c += 4) {
        let acc = start, row = first + (<usize>c << 2);
        for (let r = r0; r < r1; r++) {
          let p = row;
          for (let s = s0; s < s1; s++) {
            const v = v128.load(p);
            acc = isMax ? f32x4.max(acc, v) : f32x4.add(acc, v);
            p += colStep;
          }
          row += rowStep;
        }
        if (!isMax) acc = f32x4.div(acc, over);
        storeLanes(y + (<usize>c << 2), acc, channels - c);
      }
      y += pixel;
    }
  }
}

function startPool(
  isMax: i32, x: usize, y: usize, batch: i32, inH: i32, inW: i32, channels: i32, outH: i32, outW: i32, kh: i32, kw: i32, strideH: i32,
  strideW: i32, dilationH: i32, dilationW: i32, padTop: i32, padLeft: i32,
): void {
  setArg(0, isMax);
  setArg(1, x);
  setArg(2, y);
  setArg(3, batch * outH);
  setArg(4, inH);
  setArg(5, inW);
  setArg(6, channels);
  setArg(7, outH);
  setArg(8, outW);
  setArg(9, kh);
  setArg(10, kw);
  setArg(11, strideH);
  setArg(12, strideW);
  setArg(13, dilationH);
  setArg(14, dilationW);
  setArg(15, padTop);
  setArg(16, padLeft);
  const threads = threadsFor(<u64>batch * outH * outW * channels * (kh * kw) << 2);
  runJob(POOL, partsOf(batch * outH, 1, threads), threads);
}

export function poolPart(part: i32, parts: i32): void {
  const begin = partBegin(part, parts, arg<i32>(3), 1), end = partBegin(part + 1, parts, arg<i32>(3), 1);
  if (arg<i32>(0)) {
    pool(
      true, begin, end, arg<usize>(1), arg<usize>(2), arg<i32>(4), arg<i32>(5), arg<i32>(6), arg<i32>(7), arg<i32>(8), arg<i32>(9),
      arg<i32>(10), arg<i32>(11), arg<i32>(12), arg<i32>(13), arg<i32>(14), arg<i32>(15), arg<i32>(16),
    );
  } else {
    pool(
      false, begin, end, arg<usize>(1), arg<usize>(2), arg<i32>(4), arg<i32>(5), arg<i32>(6), arg<i32>(7), arg<i32>(8), arg<i32>(9),
      arg<i32>(10), arg<i32>(11), arg<i32>(12), arg<i32>(13), arg<i32>(14), arg<i32>(15), arg<i32>(16),
    );
  }
}

export function max_pool(
  x: usize, y: usize, batch: i32, inH: i32, inW: i32, channels: i32, outH: i32, outW: i32, kh: i32, kw: i32, strideH: i32,
  strideW: i32, dilationH: i32, dilationW: i32, padTop: i32, padLeft: i32,
): void {
  startPool(1, x, y, batch, inH, inW, channels, outH, outW, kh, kw, strideH, strideW, dilationH, dilationW, padTop, padLeft);
}

export function avg_pool(
  x: usize, y: usize, batch: i32, inH: i32, inW: i32, channels: i32, outH: i32, outW: i32, kh: i32, kw: i32, strideH: i32,
  strideW: i32, dilationH: i32, dilationW: i32, padTop: i32, padLeft: i32,
): void {
  startPool(0, x, y, batch, inH, inW, channels, outH, outW, kh, kw, strideH, strideW, dilationH, dilationW, padTop, padLeft);
}

/** Channels of a part of the mean: a cache line of sums. */
const MEAN_CHANNELS: i32 = 16;

export function mean_hw(x: usize, y: usize, batch: i32, hw: i32, channels: i32): void {
  setArg(0, x);
  setArg(1, y);
  setArg(2, batch);
  setArg(3, hw);
  setArg(4, channels);
  const threads = threadsFor(<u64>batch * hw * channels << 2);
  // Pictures are parts where there are enough of them, else ranges of channels.
  const pictures = threads > 1 && batch < 2 * threads ? 0 : 1;
  setArg(5, pictures);
  runJob(MEAN, pictures ? partsOf(batch, 1, threads) : partsOf(channels, MEAN_CHANNELS, threads), threads);
}

export function meanPart(part: i32, parts: i32): void {
  const batch = arg<i32>(2), hw = arg<i32>(3), channels = arg<i32>(4), pictures = arg<i32>(5);
  let b = 0, bEnd = batch, c0 = 0, c1 = channels;
  if (pictures) {
    b = partBegin(part, parts, batch, 1);
    bEnd = partBegin(part + 1, parts, batch, 1);
  } else {
    c0 = partBegin(part, parts, channels, MEAN_CHANNELS);
    c1 = partBegin(part + 1, parts, channels, MEAN_CHANNELS);
  }
  const pixel = <usize>channels << 2, over = f32x4.splat(<f32>hw);
  let x = arg<usize>(0) + <usize>b * <usize>hw * pixel, y = arg<usize>(1) + <usize>b * pixel;
  for (; b < bEnd; b++) {
    for (let c = c0; c < c1; c += 4) {
      let p = x + (<usize>c << 2);
      // Two chains: half the rounding steps per chain and half the latency.
      let s0 = f32x4.splat(0), s1 = s0;
      let i = 0;
      for (; i + 2 <= hw; i += 2) {
        s0 = f32x4.add(s0, v128.load(p));
        s1 = f32x4.add(s1, v128.load(p + pixel));
        p += 2 * pixel;
      }
      if (i < hw) s0 = f32x4.add(s0, v128.load(p));
      storeLanes(y + (<usize>c << 2), f32x4.div(f32x4.add(s0, s1), over), channels - c);
    }
    x += <usize>hw * pixel;
    y += pixel;
  }
}
