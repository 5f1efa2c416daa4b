/** Depthwise convolutions in float32, vectorised over channels: four neighbouring pixels at a time inside, one at the borders. */
import { alloc, free } from './heap';
import { bfp_round } from './bfp';
import {
  C_ACTIVATION, C_ALPHA, C_ALPHAS, C_BIAS, C_BLOCK, C_FILTER, C_MANTISSA, C_MULT, C_OUT_BLOCK, C_OUT_MANTISSA, C_RESIDUAL, C_X,
  C_Y, batch, dilationH, dilationW, inC, inH, inW, kh, kw, outH, outW, padLeft, padTop, readGeometry, strideH, strideW,
} from './call';
import { padded32, unpackDepthwise } from './depthwise-pack';
import { activation, alpha, setActivation } from './epilogue';
import { DEPTHWISE, arg, setArg } from './job-kinds';
import { F_OUT, F_PER_BLOCK, F_SCALES, F_TAPS, MAGIC_DW } from './layout';
import { PRELU, RELU, activate4, ceilDiv, madd, relu4, storeLanes } from './math';
import { partBegin, partsOf, runJob, threadsFor } from './threads';

/** Of the running call: floats [out] or 0. */
let scale: usize = 0, bias: usize = 0, residual: usize = 0, alphas: usize = 0, out: usize = 0;

// @ts-ignore: decorator
@inline function finish(acc: v128, y: usize, c: i32, n: i32): void {
  const at = <usize>c << 2;
  if (scale) acc = f32x4.mul(acc, v128.load(scale + at));
  if (bias) acc = f32x4.add(acc, v128.load(bias + at));
  if (residual) acc = f32x4.add(acc, v128.load(residual + (y - out)));
  if (activation == RELU) acc = relu4(acc);
  else if (activation) acc = activate4(acc, activation, activation == PRELU ? v128.load(alphas + at) : f32x4.splat(alpha));
  if (n >= 4) v128.store(y, acc);
  else storeLanes(y, acc, n);
}

/**
 * `count` (1 or 4) pixels: x at tap (r0, s0) of the first, `step` bytes from pixel to pixel; w at that tap, `line` bytes from tap to
 * tap. rows, cols: taps to sum; rowStep, colStep: bytes between input taps; wRow: bytes between rows of taps.
 */
function pixels1(x: usize, w: usize, y: usize, n: i32, rows: i32, cols: i32, rowStep: usize, colStep: usize, line: usize, wRow: usize): void {
  for (let c = 0; c < n; c += 4) {
    let acc = f32x4.splat(0);
    for (let r = 0; r < rows; r++) {
      let p = x + <usize>r * rowStep, v = w + <usize>r * wRow;
      for (let s = 0; s < cols; s++) {
        acc = madd(v128.load(p), v128.load(v), acc);
        p += colStep;
        v += line;
      }
    }
    finish(acc, y, c, n - c);
    x += 16;
    w += 16;
    y += 16;
  }
}

function pixels4(x: usize, w: usize, y: usize, n: i32, step: usize, rows: i32, rowStep: usize, colStep: usize, line: usize): void {
  const ldy = <usize>n << 2, step2 = step * 2, step3 = step * 3;
  for (let c = 0; c < n; c += 4) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
    let v = w, row = x;
    for (let r = 0; r < rows; r++) {
      let p = row;
      for (let s = 0; s < kw; s++) {
        const f = v128.load(v);
        a0 = madd(v128.load(p), f, a0);
        a1 = madd(v128.load(p + step), f, a1);
        a2 = madd(v128.load(p + step2), f, a2);
        a3 = madd(v128.load(p + step3), f, a3);
        p += colStep;
        v += line;
      }
      row += rowStep;
    }
    const left = n - c;
    finish(a0, y, c, left);
    finish(a1, y + ldy, c, left);
    finish(a2, y + 2 * ldy, c, left);
    finish(a3, y + 3 * ldy, c, left);
    x += 16;
    w += 16;
    y += 16;
  }
}

/** pixels4 for three columns, stride and dilation 1: the four pixels share their six input columns. */
function pixels4of3(x: usize, w: usize, y: usize, n: i32, rows: i32, rowStep: usize, line: usize): void {
  const pixel = <usize>n << 2;
  for (let c = 0; c < n; c += 4) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
    let v = w, p0 = x, p3 = x + 3 * pixel;
    for (let r = 0; r < rows; r++) {
      const f0 = v128.load(v), f1 = v128.load(v + line), f2 = v128.load(v + 2 * line);
      const x0 = v128.load(p0), x1 = v128.load(p0 + pixel), x2 = v128.load(p0 + 2 * pixel);
      const x3 = v128.load(p3), x4 = v128.load(p3 + pixel), x5 = v128.load(p3 + 2 * pixel);
      a0 = madd(x2, f2, madd(x1, f1, madd(x0, f0, a0)));
      a1 = madd(x3, f2, madd(x2, f1, madd(x1, f0, a1)));
      a2 = madd(x4, f2, madd(x3, f1, madd(x2, f0, a2)));
      a3 = madd(x5, f2, madd(x4, f1, madd(x3, f0, a3)));
      p0 += rowStep;
      p3 += rowStep;
      v += 3 * line;
    }
    const left = n - c;
    finish(a0, y, c, left);
    finish(a1, y + pixel, c, left);
    finish(a2, y + 2 * pixel, c, left);
    finish(a3, y + 3 * pixel, c, left);
    x += 16;
    w += 16;
    y += 16;
  }
}

/** x: [batch, inH, inW, n] f32; w: f32 [taps], `line` bytes from tap to tap; y: [batch, outH, outW, n]. */
function run(call: usize, x: usize, w: usize, y: usize, n: i32, line: usize): void {
  setArg(0, call);
  setArg(1, x);
  setArg(2, w);
  setArg(3, y);
  setArg(4, n);
  setArg(5, line);
  setArg(6, scale);
  // Four to a multiply-accumulate: a load for each.
  const threads = threadsFor(<u64>batch * outH * outW * n * (kh * kw) << 2);
  runJob(DEPTHWISE, partsOf(batch * outH, 1, threads), threads);
}

/** In a helper: what the caller's instance knows from the call. */
export function beginDepthwise(): void {
  prepare(arg<usize>(0));
  scale = arg<usize>(6);
}

/** Rows of outputs. */
export function depthwisePart(part: i32, parts: i32): void {
  const x = arg<usize>(1), w = arg<usize>(2), n = arg<i32>(4), line = arg<usize>(5);
  const begin = partBegin(part, parts, batch * outH, 1), end = partBegin(part + 1, parts, batch * outH, 1);
  const pixel = <usize>n << 2;
  const colStep = <usize>dilationW * pixel, rowStep = <usize>(dilationH * inW) * pixel, step = <usize>strideW * pixel;
  const wRow = line * kw, three = kw == 3 && strideW == 1 && dilationW == 1;
  // Output columns [inner0, inner1) read all their columns inside the image.
  const inner0 = min(outW, padLeft > 0 ? ceilDiv(padLeft, strideW) : 0);
  const last = inW - 1 - (kw - 1) * dilationW + padLeft;
  const inner1 = last < 0 ? 0 : min(outW, last / strideW + 1);
  let y = arg<usize>(3) + <usize>(begin * outW) * pixel;
  for (let row = begin; row < end; row++) {
    const b = row / outH, oy = row % outH;
    const iy = oy * strideH - padTop;
    const r0 = iy < 0 ? min(kh, ceilDiv(-iy, dilationH)) : 0;
    const r1 = iy >= inH ? r0 : max(r0, min(kh, ceilDiv(inH - iy, dilationH)));
    // Unsigned wrap-around of negative offsets cancels: every address read is inside x.
    const rowX = x + <usize>((b * inH + iy + r0 * dilationH) * inW) * pixel, rowW = w + <usize>r0 * wRow;
    for (let ox = 0; ox < outW; ) {
      const ix = ox * strideW - padLeft;
      if (ox >= inner0 && ox + 4 <= inner1) {
        const from = rowX + <usize>ix * pixel;
        if (three) pixels4of3(from, rowW, y, n, r1 - r0, rowStep, line);
        else pixels4(from, rowW, y, n, step, r1 - r0, rowStep, colStep, line);
        ox += 4;
        y += 4 * pixel;
        continue;
      }
      const s0 = ix < 0 ? min(kw, ceilDiv(-ix, dilationW)) : 0;
      const s1 = ix >= inW ? s0 : max(s0, min(kw, ceilDiv(inW - ix, dilationW)));
      pixels1(rowX + <usize>(ix + s0 * dilationW) * pixel, rowW + <usize>s0 * line, y, n, r1 - r0, s1 - s0, rowStep, colStep, line, wRow);
      ox++;
      y += pixel;
    }
  }
}

/** x with every channel repeated mult times, so that output channel o reads input channel o. */
function repeat(x: usize, y: usize, count: usize, mult: i32): void {
  for (let i: usize = 0; i < count; i++) {
    const v = load<u32>(x + (i << 2));
    for (let m = 0; m < mult; m++) {
      store<u32>(y, v);
      y += 4;
    }
  }
}

function prepare(call: usize): i32 {
  if (!readGeometry(call) || load<i32>(call, C_MULT) < 1) return 2;
  const kind = load<i32>(call, C_ACTIVATION);
  bias = load<usize>(call, C_BIAS);
  residual = load<usize>(call, C_RESIDUAL);
  alphas = load<usize>(call, C_ALPHAS);
  out = load<usize>(call, C_Y);
  scale = 0;
  if (kind < 0 || kind > PRELU || (kind == PRELU && !alphas)) return 2;
  setActivation(kind, load<f32>(call, C_ALPHA));
  return 0;
}

/** Rounds and repeats x where asked, runs, rounds the output. w: floats [taps][line / 4]. */
function finishCall(call: usize, w: usize, line: usize, mantissa: i32): i32 {
  const x = load<usize>(call, C_X), mult = load<i32>(call, C_MULT);
  const count = <usize>batch * inH * inW, n = inC * mult;
  let copy: usize = 0;
  if ((mantissa || mult > 1) && count * inC) {
    if (<u64>count * n >= 0x3fff0000) return 1;
    copy = alloc(count * n << 2);
    if (!copy) return 1;
    if (mult > 1) {
      repeat(x, copy, count * inC, mult);
      // Repeating a channel inside a block changes neither its largest exponent nor the partition if blocks grow alike.
      if (mantissa) bfp_round(copy, copy, <i32>count, n, 1, load<i32>(call, C_BLOCK) * mult, mantissa);
    } else {
      bfp_round(x, copy, <i32>count, inC, 1, load<i32>(call, C_BLOCK), mantissa);
    }
  }
  run(call, copy ? copy : x, w, out, n, line);
  free(copy);
  const outMantissa = load<i32>(call, C_OUT_MANTISSA);
  if (!outMantissa) return 0;
  return bfp_round(out, out, batch * outH * outW, n, 1, load<i32>(call, C_OUT_BLOCK), outMantissa);
}

export function depthwise(call: usize): i32 {
  const wrong = prepare(call);
  if (wrong) return wrong;
  return finishCall(call, load<usize>(call, C_FILTER), <usize>(inC * load<i32>(call, C_MULT)) << 2, 0);
}

export function ds_depthwise(call: usize): i32 {
  const filter = load<usize>(call, C_FILTER), mantissa = load<i32>(call, C_MANTISSA);
  if (load<u32>(filter) != MAGIC_DW) return 2;
  const wrong = prepare(call);
  if (wrong) return wrong;
  const n = load<i32>(filter, F_OUT);
  if (n != inC * load<i32>(call, C_MULT) || load<i32>(filter, F_TAPS) != kh * kw) return 2;
  if (mantissa && (mantissa < 2 || mantissa > 8 || load<i32>(call, C_BLOCK) < 1)) return 2;
  if (!load<u32>(filter, F_PER_BLOCK)) scale = filter + load<usize>(filter, F_SCALES);
  const line = <usize>padded32(n) << 2;
  const w = alloc(line * (kh * kw) + 16);
  if (!w) return 1;
  unpackDepthwise(filter, w);
  const status = finishCall(call, w, line, mantissa);
  free(w);
  return status;
}
