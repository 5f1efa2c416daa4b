/** Element-wise kernels: equal shapes, a vector along the last axis, or a scalar on the right. */
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

const four: usize = memory.data(16, 16);

// @ts-ignore: decorator
@inline function rows(op: i32, a: usize, b: usize, y: usize, n: i32, period: i32): void {
  if (period == 1 && n > 1) {
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

export function binary(op: i32, a: usize, b: usize, y: usize, n: i32, period: i32): void {
  if (period < 1) return;
  if (op == ADD) rows(ADD, a, b, y, n, period);
  else if (op == SUB) rows(SUB, a, b, y, n, period);
  else if (op == MUL) rows(MUL, a, b, y, n, period);
  else rows(3, a, b, y, n, period);
}

export function unary(op: i32, x: usize, y: usize, n: i32, alpha: f32, alphas: usize, period: i32): void {
  const slope = f32x4.splat(alpha);
  if (op == PRELU) {
    if (period < 1) return;
    for (let left = n; left > 0; left -= period) {
      const count = min(left, period);
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
  for (let left = n; left > 0; left -= channels) {
    const count = min(left, channels);
    for (let i = 0; i < count; i += 4) {
      const at = <usize>i << 2;
      storeLanes(y + at, madd(v128.load(x + at), v128.load(scale + at), v128.load(shift + at)), count - i);
    }
    x += <usize>count << 2;
    y += <usize>count << 2;
  }
}
