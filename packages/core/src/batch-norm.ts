import { InvalidArgumentError } from './errors.js';
import type { FilterKind } from './filter.js';

/** Parameters of a batch normalization after a convolution, one value per output channel. */
export interface BatchNormParameters {
  /** γ; absent means 1. May be negative or zero. */
  gamma?: Float32Array | undefined;
  /** β; absent means 0. */
  beta?: Float32Array | undefined;
  mean: Float32Array;
  variance: Float32Array;
  epsilon: number;
}

/**
 * Folds batch normalization into the convolution before it: `w *= γ/√(σ²+ε)` per output channel,
 * `bias = β + (b₀-μ)γ/√(σ²+ε)`. Inputs are not changed.
 *
 * @param weights HWIO (or `[kh, kw, C, multiplier]`): the last axis (the last two for depthwise) is the output channel
 * @param bias the convolution's own bias `b₀`, or undefined
 * @throws InvalidArgumentError when a length does not match or a variance is negative
 */
export function foldBatchNorm(
  weights: Float32Array,
  shape: readonly [number, number, number, number],
  norm: BatchNormParameters,
  bias?: Float32Array,
  kind: FilterKind = 'conv2d',
): { weights: Float32Array; bias: Float32Array } {
  const channels = kind === 'depthwise' ? shape[2] * shape[3] : shape[3];
  const { gamma, beta, mean, variance, epsilon } = norm;
  for (const [name, values] of Object.entries({ gamma, beta, mean, variance, bias })) {
    if (values && values.length !== channels) {
      throw new InvalidArgumentError(
        `${name} has ${values.length} values; expected ${channels}, one per output channel`,
      );
    }
  }
  const factor = new Float64Array(channels);
  const folded = new Float32Array(channels);
  for (let o = 0; o < channels; o++) {
    if (!(variance[o]! + epsilon > 0)) {
      throw new InvalidArgumentError(
        `variance[${o}] + epsilon is ${variance[o]! + epsilon}; expected a positive number`,
      );
    }
    factor[o] = (gamma ? gamma[o]! : 1) / Math.sqrt(variance[o]! + epsilon);
    folded[o] = (beta ? beta[o]! : 0) + ((bias ? bias[o]! : 0) - mean[o]!) * factor[o]!;
  }
  const scaled = new Float32Array(weights.length);
  for (let n = 0; n < weights.length; n++) scaled[n] = weights[n]! * factor[n % channels]!;
  return { weights: scaled, bias: folded };
}
