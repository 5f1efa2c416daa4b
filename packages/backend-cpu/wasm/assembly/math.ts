/** Small vector helpers shared by the float code of both modules. */

// @ts-ignore: decorator
@inline export function round4(n: i32): i32 { return (n + 3) & ~3; }
// @ts-ignore: decorator
@inline export function ceilDiv(a: i32, b: i32): i32 { return (a + b - 1) / b; }

/** a * b + c, fused where the module has relaxed SIMD (NUMERICS §4 allows both). */
// @ts-ignore: decorator
@inline export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/**
 * exp(x), relative error below 2e-7 where the result is normal; +inf above 88.7, 0 far below. x = n ln2 + r with |r| <= ln2/2, a
 * degree-6 polynomial for exp(r), and 2^n applied in two halves so that n = 128 and n < -126 do not wrap. Adding n << 23 to the bits of
 * 1.0 makes 2^n.
 */
const EXP: usize = memory.data<f32>([
  130, -130, 1.44269504, 0.693359375, -2.12194440e-4, 1.3888889e-3, 8.3333333e-3, 4.16666667e-2, 1.66666667e-1, 0.5, 1,
], 16);

// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  // Constants from memory: V8 would build vector constants anew (three instructions each) at every use.
  x = f32x4.pmin(v128.load32_splat(EXP), f32x4.pmax(v128.load32_splat(EXP, 4), x));
  const n = f32x4.nearest(f32x4.mul(x, v128.load32_splat(EXP, 8)));
  let r = f32x4.sub(x, f32x4.mul(n, v128.load32_splat(EXP, 12)));
  r = f32x4.sub(r, f32x4.mul(n, v128.load32_splat(EXP, 16)));
  const one = v128.load32_splat(EXP, 40);
  let p = v128.load32_splat(EXP, 20);
  p = madd(p, r, v128.load32_splat(EXP, 24));
  p = madd(p, r, v128.load32_splat(EXP, 28));
  p = madd(p, r, v128.load32_splat(EXP, 32));
  p = madd(p, r, v128.load32_splat(EXP, 36));
  p = madd(p, r, one);
  p = madd(p, r, one);
  // |n| <= 188, so its integer is in the low bits of n + 1.5 * 2^23.
  const i = i32x4.sub(f32x4.add(n, f32x4.splat(12582912)), i32x4.splat(0x4b400000));
  const half = i32x4.shr_s(i, 1);
  const a = i32x4.add(i32x4.shl(half, 23), one);
  const b = i32x4.add(i32x4.shl(i32x4.sub(i, half), 23), one);
  return f32x4.mul(f32x4.mul(p, a), b);
}

/**
 * Activations. pmax(x, 0) is "x < 0 ? 0 : x" and pmin(x, 6) is "6 < x ? 6 : x": one instruction, and a NaN in x stays because
 * every comparison with it is false. The operand order matters.
 */
export const LINEAR: i32 = 0;
export const RELU: i32 = 1;
export const RELU6: i32 = 2;
export const SILU: i32 = 3;
export const LEAKY: i32 = 4;
export const PRELU: i32 = 5;

// @ts-ignore: decorator
@inline export function relu4(x: v128): v128 { return f32x4.pmax(x, f32x4.splat(0)); }

/** x * sigmoid(x) as x / (1 + exp(-x)): -0 where exp overflows, NaN for NaN and -infinity as x * sigmoid(x) has it. */
// @ts-ignore: decorator
@inline export function silu4(x: v128): v128 { return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x)))); }

export function activate4(x: v128, activation: i32, alpha: v128): v128 {
  if (activation == RELU) return relu4(x);
  if (activation == RELU6) return f32x4.pmin(relu4(x), f32x4.splat(6));
  if (activation == SILU) return silu4(x);
  if (activation >= LEAKY) return v128.bitselect(f32x4.mul(x, alpha), x, f32x4.lt(x, f32x4.splat(0)));
  return x;
}

/** Stores the first n (1..4) lanes. */
export function storeLanes(y: usize, v: v128, n: i32): void {
  if (n >= 4) { v128.store(y, v); return; }
  f32.store(y, f32x4.extract_lane(v, 0));
  if (n > 1) f32.store(y, f32x4.extract_lane(v, 1), 4);
  if (n > 2) f32.store(y, f32x4.extract_lane(v, 2), 8);
}
