/** The fused end of a tile: y = activation(acc * scale + bias + residual), rows and channels clipped. */
import { PRELU, RELU, activate4, relu4, storeLanes } from './math';
import { accAddress } from './memory-map';

/** Set by each kernel call; constant while its tiles run. */
export let activation: i32 = 0;
export let alpha: f32 = 0;

export function setActivation(kind: i32, slope: f32): void {
  activation = kind;
  alpha = slope;
}

/**
 * y, ldy: output pixel 0 at channel o, bytes to the next pixel. rows 1..4, channels 1..8. cs, bias, alphas: 8 floats from channel o on
 * (those beyond `channels` are read but not used) or 0; residual: as y, or 0.
 */
export function writeTile(
  y: usize, ldy: usize, rows: i32, channels: i32, cs: usize, bias: usize, residual: usize, alphas: usize,
): void {
  let b0 = f32x4.splat(0), b1 = b0;
  if (bias) {
    b0 = v128.load(bias);
    b1 = v128.load(bias, 16);
  }
  let s0 = f32x4.splat(1), s1 = s0;
  if (cs) {
    s0 = v128.load(cs);
    s1 = v128.load(cs, 16);
  }
  let l0 = f32x4.splat(alpha), l1 = l0;
  if (activation == PRELU) {
    l0 = v128.load(alphas);
    l1 = v128.load(alphas, 16);
  }
  const simple = activation <= RELU;
  let acc = accAddress();
  for (const end = acc + (<usize>rows << 5); acc < end; acc += 32) {
    let v0 = f32x4.add(f32x4.mul(v128.load(acc), s0), b0);
    let v1 = f32x4.add(f32x4.mul(v128.load(acc, 16), s1), b1);
    if (channels == 8) {
      if (residual) {
        v0 = f32x4.add(v0, v128.load(residual));
        v1 = f32x4.add(v1, v128.load(residual, 16));
        residual += ldy;
      }
      if (simple) {
        if (activation) {
          v0 = relu4(v0);
          v1 = relu4(v1);
        }
      } else {
        v0 = activate4(v0, activation, l0);
        v1 = activate4(v1, activation, l1);
      }
      v128.store(y, v0);
      v128.store(y, v1, 16);
    } else {
      if (residual) {
        v0 = f32x4.add(v0, v128.load(residual));
        if (channels > 4) v1 = f32x4.add(v1, v128.load(residual, 16));
        residual += ldy;
      }
      storeLanes(y, activate4(v0, activation, l0), channels);
      if (channels > 4) storeLanes(y + 16, activate4(v1, activation, l1), channels - 4);
    }
    y += ldy;
  }
}

/**
 * writeTile for a whole tile and activation linear or relu: the common case. floor: 0 or -infinity in every lane; pmax keeps NaN in
 * its first operand.
 */
export function writeWhole(y: usize, ldy: usize, cs: usize, bias: usize, residual: usize, floor: v128): void {
  const acc = accAddress();
  let v0 = v128.load(acc), v1 = v128.load(acc, 16), v2 = v128.load(acc, 32), v3 = v128.load(acc, 48);
  let v4 = v128.load(acc, 64), v5 = v128.load(acc, 80), v6 = v128.load(acc, 96), v7 = v128.load(acc, 112);
  if (cs) {
    const s0 = v128.load(cs), s1 = v128.load(cs, 16);
    v0 = f32x4.mul(v0, s0); v1 = f32x4.mul(v1, s1); v2 = f32x4.mul(v2, s0); v3 = f32x4.mul(v3, s1);
    v4 = f32x4.mul(v4, s0); v5 = f32x4.mul(v5, s1); v6 = f32x4.mul(v6, s0); v7 = f32x4.mul(v7, s1);
  }
  if (bias) {
    const b0 = v128.load(bias), b1 = v128.load(bias, 16);
    v0 = f32x4.add(v0, b0); v1 = f32x4.add(v1, b1); v2 = f32x4.add(v2, b0); v3 = f32x4.add(v3, b1);
    v4 = f32x4.add(v4, b0); v5 = f32x4.add(v5, b1); v6 = f32x4.add(v6, b0); v7 = f32x4.add(v7, b1);
  }
  const y1 = y + ldy, y2 = y1 + ldy, y3 = y2 + ldy;
  if (residual) {
    const r1 = residual + ldy, r2 = r1 + ldy, r3 = r2 + ldy;
    v0 = f32x4.add(v0, v128.load(residual)); v1 = f32x4.add(v1, v128.load(residual, 16));
    v2 = f32x4.add(v2, v128.load(r1)); v3 = f32x4.add(v3, v128.load(r1, 16));
    v4 = f32x4.add(v4, v128.load(r2)); v5 = f32x4.add(v5, v128.load(r2, 16));
    v6 = f32x4.add(v6, v128.load(r3)); v7 = f32x4.add(v7, v128.load(r3, 16));
  }
  v128.store(y, f32x4.pmax(v0, floor)); v128.store(y, f32x4.pmax(v1, floor), 16);
  v128.store(y1, f32x4.pmax(v2, floor)); v128.store(y1, f32x4.pmax(v3, floor), 16);
  v128.store(y2, f32x4.pmax(v4, floor)); v128.store(y2, f32x4.pmax(v5, floor), 16);
  v128.store(y3, f32x4.pmax(v6, floor)); v128.store(y3, f32x4.pmax(v7, floor), 16);
}

/** One tile of a sweep: writeWhole where it applies. */
// @ts-ignore: decorator
@inline export function writeSwept(
  y: usize, ldy: usize, left: i32, channels: i32, cs: usize, bias: usize, residual: usize, alphas: usize, whole: bool, floor: v128,
): void {
  if (whole && left >= 4) writeWhole(y, ldy, cs, bias, residual, floor);
  else writeTile(y, ldy, min(4, left), channels, cs, bias, residual, alphas);
}

/** Whether writeWhole serves a tile of so many channels. */
// @ts-ignore: decorator
@inline export function isWhole(channels: i32): bool { return channels == 8 && activation <= RELU; }

// @ts-ignore: decorator
@inline export function floorOf(): v128 { return f32x4.splat(activation == RELU ? 0 : -Infinity); }
