/** A convolution with constant weights, whatever operators it was spelled with: what is folded, calibrated and quantized. */
import type { Activation, FilterKind } from '@dsconv/core';

export interface Convolution {
  kind: FilterKind;
  /** `[kh, kw, I, O]`, or `[kh, kw, C, multiplier]`. A dense layer is 1 × 1. */
  shape: [number, number, number, number];
  /** float32 in the order of `shape`, everything folded. */
  weights: Float32Array;
  /** One value per output channel, or null. */
  bias: Float32Array | null;
  strides: [number, number];
  dilations: [number, number];
  pad: 'same' | 'valid' | { top: number; bottom: number; left: number; right: number };
  groups: number;
  activation: Activation;
  leakyreluAlpha: number;
  /** Slopes of 'prelu', one per output channel, or null. */
  slopes: Float32Array | null;
  /**
   * Mean and standard deviation of every output channel before the activation, where a batch normalization that was folded tells them (β, |γ|); null
   * elsewhere. For corrections that need no data.
   */
  statistics: { mean: Float32Array; deviation: Float32Array } | null;
  /** The node whose first input is the convolution's input, and the nodes this convolution stands for, in order. */
  folded: string[];
  /** A dense layer reads `[batch, channels]`. */
  isDense: boolean;
}

export function outChannelsOf({ kind, shape }: Pick<Convolution, 'kind' | 'shape'>): number {
  return kind === 'depthwise' ? shape[2] * shape[3] : shape[3];
}

/** Multiplies the output of a linear convolution by `scale` and adds `shift`, one value per channel each. */
export function applyAffine(conv: Convolution, scale: Float32Array | null, shift: Float32Array | null): void {
  const channels = outChannelsOf(conv);
  if (scale) {
    const { weights, bias } = conv;
    conv.weights = new Float32Array(weights.length);
    for (let n = 0; n < weights.length; n++) conv.weights[n] = weights[n]! * scale[n % channels]!;
    if (bias) conv.bias = bias.map((value, o) => value * scale[o]!);
  }
  if (shift) {
    const { bias } = conv;
    conv.bias = bias ? bias.map((value, o) => value + shift[o]!) : shift.slice();
  }
  if (!conv.statistics) return;
  const { mean, deviation } = conv.statistics;
  conv.statistics = {
    mean: mean.map((value, o) => value * (scale ? scale[o]! : 1) + (shift ? shift[o]! : 0)),
    deviation: deviation.map((value, o) => value * Math.abs(scale ? scale[o]! : 1)),
  };
}

/** Parameters of a batch normalization, one value per channel each. */
export interface Normalization {
  gamma: Float32Array;
  beta: Float32Array;
  mean: Float32Array;
  variance: Float32Array;
  epsilon: number;
}

/**
 * Takes a batch normalization into the linear convolution before it, which then knows how its outputs are distributed.
 *
 * @returns false when a variance is not positive
 */
export function applyBatchNorm(
  conv: Convolution,
  { gamma, beta, mean, variance, epsilon }: Normalization,
): boolean {
  if (variance.some((value) => !(value + epsilon > 0))) return false;
  const scale = gamma.map((value, o) => value / Math.sqrt(variance[o]! + epsilon));
  applyAffine(
    conv,
    scale,
    beta.map((value, o) => value - mean[o]! * scale[o]!),
  );
  conv.statistics = { mean: beta.slice(), deviation: gamma.map(Math.abs) };
  return true;
}
