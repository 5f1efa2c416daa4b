/** Batch normalization of rows in JavaScript, for tiers without kernels of it. The formulas are those of `normalizeBatch` in core. */

/** One row per pixel. */
export interface Rows {
  rows: number;
  channels: number;
}

/** Numbers of the channels, and what is added to variances. */
export interface Normalization {
  mean: Float32Array;
  variance: Float32Array;
  gamma: Float32Array;
  epsilon: number;
}

export function batchMoments(x: Float32Array, { rows, channels }: Rows): [Float32Array, Float32Array] {
  const sums = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let n = 0; n < x.length; n++) sums[n % channels]! += x[n]!;
  const mean = Float32Array.from(sums, (sum) => sum / rows);
  for (let n = 0; n < x.length; n++) squares[n % channels]! += (x[n]! - sums[n % channels]! / rows) ** 2;
  return [mean, Float32Array.from(squares, (sum) => sum / rows)];
}

export function batchNormalize(x: Float32Array, beta: Float32Array, n: Normalization): Float32Array {
  const channels = beta.length;
  const scale = n.gamma.map((g, c) => g / Math.sqrt(n.variance[c]! + n.epsilon));
  return x.map((value, i) => (value - n.mean[i % channels]!) * scale[i % channels]! + beta[i % channels]!);
}

/** `[dx, dgamma, dbeta]`. */
export function batchNormGradient(
  x: Float32Array,
  dy: Float32Array,
  { mean, variance, gamma, epsilon }: Normalization,
  { rows, channels }: Rows,
): [Float32Array, Float32Array, Float32Array] {
  const inverse = Float64Array.from(variance, (value) => 1 / Math.sqrt(value + epsilon));
  const plain = new Float64Array(channels);
  const weighted = new Float64Array(channels);
  dy.forEach((value, i) => {
    const c = i % channels;
    plain[c]! += value;
    weighted[c]! += value * (x[i]! - mean[c]!) * inverse[c]!;
  });
  const dx = dy.map((value, i) => {
    const c = i % channels;
    const normalized = (x[i]! - mean[c]!) * inverse[c]!;
    return gamma[c]! * inverse[c]! * (value - (plain[c]! + normalized * weighted[c]!) / rows);
  });
  return [dx, Float32Array.from(weighted), Float32Array.from(plain)];
}
