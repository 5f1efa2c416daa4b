/** Max and average pooling (NHWC), and the mean over the pixels; vectorised over channels. */
import { ceilDiv, storeLanes } from './math';

/** First tap inside [0, size) when tap 0 is at `at`, and the end of those inside. */
// @ts-ignore: decorator
@inline function tapBegin(at: i32, k: i32, dilation: i32): i32 { return at < 0 ? min(k, ceilDiv(-at, dilation)) : 0; }
// @ts-ignore: decorator
@inline function tapEnd(at: i32, k: i32, dilation: i32, size: i32): i32 { return at >= size ? 0 : min(k, ceilDiv(size - at, dilation)); }

// @ts-ignore: decorator
@inline function pool(
  isMax: bool, x: usize, y: usize, batch: i32, inH: i32, inW: i32, channels: i32, outH: i32, outW: i32, kh: i32, kw: i32,
  strideH: i32, strideW: i32, dilationH: i32, dilationW: i32, padTop: i32, padLeft: i32,
): void {
  const pixel = <usize>channels << 2;
  const colStep = <usize>dilationW * pixel, rowStep = <usize>(dilationH * inW) * pixel;
  const start = f32x4.splat(isMax ? -Infinity : 0);
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < outH; oy++) {
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
}

export function max_pool(
  x: usize, y: usize, batch: i32, inH: i32, inW: i32, channels: i32, outH: i32, outW: i32, kh: i32, kw: i32, strideH: i32,
  strideW: i32, dilationH: i32, dilationW: i32, padTop: i32, padLeft: i32,
): void {
  pool(true, x, y, batch, inH, inW, channels, outH, outW, kh, kw, strideH, strideW, dilationH, dilationW, padTop, padLeft);
}

export function avg_pool(
  x: usize, y: usize, batch: i32, inH: i32, inW: i32, channels: i32, outH: i32, outW: i32, kh: i32, kw: i32, strideH: i32,
  strideW: i32, dilationH: i32, dilationW: i32, padTop: i32, padLeft: i32,
): void {
  pool(false, x, y, batch, inH, inW, channels, outH, outW, kh, kw, strideH, strideW, dilationH, dilationW, padTop, padLeft);
}

export function mean_hw(x: usize, y: usize, batch: i32, hw: i32, channels: i32): void {
  const pixel = <usize>channels << 2, over = f32x4.splat(<f32>hw);
  for (let b = 0; b < batch; b++) {
    for (let c = 0; c < channels; c += 4) {
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
