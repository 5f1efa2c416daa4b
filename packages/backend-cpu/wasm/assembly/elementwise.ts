/** Element-wise kernels: equal shapes, a vector along the last axis, or a scalar on the right. */
import { BINARY, SCALE_SHIFT, UNARY, arg, setArg } from './job-kinds';
import { fourAddress } from './memory-map';
import { partBegin, partsOf, runJob, threadsFor } from './threads';
import { PRELU, RELU, SILU, activate4, madd, relu4, silu4, storeLanes } from './math';

const ADD: i32 = 0;
const SUB: i32 = 1;
const MUL: i32 = 2;

// @ts-ignore: decorator
@inline function apply(op: i32, a: v128, b: v128): v128 {
  if (op == ADD) return f32x4.add(a, b);
  if (op == SUB) return f32x4.sub(a, b);
  if (op == MUL) return f32x4.mul(a, b);
  return f32x4.sub(b, a);
}

/** y[0..n) = a op b elementwise (step 16) or a op one value (b points to four copies, step 0). Whole vectors first, then lanes. */
// @ts-ignore: decorator
@inline function row(op: i32, a: usize, b: usize, y: usize, n: i32, step: usize): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    v128.store(y, apply(op, v128.load(a), v128.load(b)));
    a += 16;
    b += step;
    y += 16;
  }
  if (i < n) storeLanes(y, apply(op, v128.load(a), v128.load(b)), n - i);
}

// @ts-ignore: decorator
@inline function rows(op: i32, a: usize, b: usize, y: usize, n: i32, period: i32): void {
  if (period == 1 && n > 1) {
    const four = fourAddress();
    v128.store(four, v128.load32_splat(b));
    row(op, a, four, y, n, 0);
    return;
  }
  for (let left = n; left > 0; left -= period) {
    const count = min(left, period);
    row(op, a, b, y, count, 16);
    a += <usize>count << 2;
    y += <usize>count << 2;
  }
}

/** Elements of a part of a job are a multiple of this: whole cache lines where rows repeat or there is one, else whole rows. */
// @ts-ignore: decorator
@inline function unitOf(n: i32, period: i32): i32 { return period == 1 || period >= n ? 16 : period; }

export function binary(op: i32, a: usize, b: usize, y: usize, n: i32, period: i32): void {
  if (period < 1) return;
  setArg(0, op);
  setArg(1, a);
  setArg(2, b);
  setArg(3, y);
  setArg(4, n);
  setArg(5, period);
  const threads = threadsFor(<u64>n << 4);
  runJob(BINARY, partsOf(n, unitOf(n, period), threads), threads);
}

export function binaryPart(part: i32, parts: i32): void {
  const op = arg<i32>(0), all = arg<i32>(4), period = arg<i32>(5), unit = unitOf(all, period);
  const begin = partBegin(part, parts, all, unit), n = partBegin(part + 1, parts, all, unit) - begin;
  const at = <usize>begin << 2;
  const a = arg<usize>(1) + at, b = arg<usize>(2) + (period != 1 && period >= all ? at : 0), y = arg<usize>(3) + at;
  if (op == ADD) rows(ADD, a, b, y, n, period);
  else if (op == SUB) rows(SUB, a, b, y, n, period);
  else if (op == MUL) rows(MUL, a, b, y, n, period);
  else rows(3, a, b, y, n, period);
}

export function unary(op: i32, x: usize, y: usize, n: i32, alpha: f32, alphas: usize, period: i32): void {
  if (op == PRELU && period < 1) return;
  setArg(0, op);
  setArg(1, x);
  setArg(2, y);
  setArg(3, n);
  setArg(4, alpha);
  setArg(5, alphas);
  setArg(6, op == PRELU ? period : 1);
  const threads = threadsFor(<u64>n << 4);
  runJob(UNARY, partsOf(n, unitOf(n, arg<i32>(6)), threads), threads);
}

export function unaryPart(part: i32, parts: i32): void {
  const op = arg<i32>(0), all = arg<i32>(3), alpha = arg<f32>(4), period = arg<i32>(6), unit = unitOf(all, period);
  const begin = partBegin(part, parts, all, unit), n = partBegin(part + 1, parts, all, unit) - begin;
  let x = arg<usize>(1) + (<usize>begin << 2), y = arg<usize>(2) + (<usize>begin << 2);
  const slope = f32x4.splat(alpha);
  if (op == PRELU) {
    const alphas = arg<usize>(5) + (period != 1 && period >= all ? <usize>begin << 2 : 0);
    const step = period == 1 ? n : period;
    for (let left = n; left > 0; left -= step) {
      const count = min(left, step);
      for (let i = 0; i < count; i += 4) {
        const a = period == 1 ? v128.load32_splat(alphas) : v128.load(alphas + (<usize>i << 2));
        storeLanes(y + (<usize>i << 2), activate4(v128.load(x + (<usize>i << 2)), op, a), count - i);
      }
      x += <usize>count << 2;
      y += <usize>count << 2;
    }
    return;
  }
  let i = 0;
  if (op == SILU) {
    for (; i + 4 <= n; i += 4) {
      v128.store(y, silu4(v128.load(x)));
      x += 16;
      y += 16;
    }
  } else if (op == RELU) {
    for (; i + 4 <= n; i += 4) {
      v128.store(y, relu4(v128.load(x)));
      x += 16;
      y += 16;
    }
  }
  for (; i + 4 <= n; i += 4) {
    v128.store(y, activate4(v128.load(x), op, slope));
    x += 16;
    y += 16;
  }
  if (i < n) storeLanes(y, activate4(v128.load(x), op, slope), n - i);
}

export function scale_shift(x: usize, scale: usize, shift: usize, y: usize, n: i32, channels: i32): void {
  if (channels < 1) return;
  setArg(0, x);
  setArg(1, scale);
  setArg(2, shift);
  setArg(3, y);
  setArg(4, n);
  setArg(5, channels);
  const threads = threadsFor(<u64>n << 4);
  runJob(SCALE_SHIFT, partsOf(n, channels, threads), threads);
}

export function scaleShiftPart(part: i32, parts: i32): void {
  const scale = arg<usize>(1), shift = arg<usize>(2), channels = arg<i32>(5);
  const begin = partBegin(part, parts, arg<i32>(4), channels), end = partBegin(part + 1, parts, arg<i32>(4), channels);
  let x = arg<usize>(0) + (<usize>begin << 2), y = arg<usize>(3) + (<usize>begin << 2);
  for (let left = end - begin; left > 0; left -= channels) {
    const count = min(left, channels);
    for (let i = 0; i < count; i += 4) {
      const at = <usize>i << 2;
      storeLanes(y + at, madd(v128.load(x + at), v128.load(scale + at), v128.load(shift + at)), count - i);
    }
    x += <usize>count << 2;
    y += <usize>count << 2;
  }
}
