/** The fused end of a tile: y = activation(ACC * scale + bias + residual), rows and channels clipped. */
import { PRELU, RELU, activate4, relu4, storeLanes } from './math';
import { ACC } from './scratch';

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
  for (let acc = ACC, end = ACC + (<usize>rows << 5); acc < end; acc += 32) {
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
