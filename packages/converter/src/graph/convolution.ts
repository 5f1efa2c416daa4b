/** A convolution with constant weights, whatever operators it was spelled with: what is folded, calibrated and quantized. */
import { type Activation, DSConvFilter, type FilterKind, storeExactly } from '@dsconv/core';

export interface TrainedFilter {
  filter: DSConvFilter;
  /** Mantissa bits of the activations that it was trained with, or null for float ones. */
  activationBits: number | null;
}

export interface Convolution {
  kind: FilterKind;
  /** `[kh, kw, I, O]`, or `[kh, kw, C, multiplier]`. A dense layer is 1 × 1. */
  shape: [number, number, number, number];
  /** float32 in the order of `shape`, everything folded. */
  weights: Float32Array;
  /** A filter that was learned, everything folded, which takes the place of `weights` and is not quantized again. */
  trained?: TrainedFilter;
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
    const { weights, trained, bias } = conv;
    if (trained) conv.trained = { ...trained, filter: scaleFilter(trained.filter, scale) };
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

/** The filter with every output channel multiplied, by its scales per channel alone: integers and scales per block stay the same bytes. */
function scaleFilter(filter: DSConvFilter, factors: Float32Array): DSConvFilter {
  const { kind, shape, bits, blockSize, vqk } = filter;
  const scaled = (values: Float32Array | null) =>
    values && storeExactly(values.map((value, o) => value * factors[o]!));
  return new DSConvFilter({
    kind,
    shape,
    bits,
    blockSize,
    vqk,
    kds: filter.stored('kds'),
    kdsBias: filter.stored('kdsBias'),
    cds: scaled(filter.scales('cds')) ?? storeExactly(factors),
    cdsBias: scaled(filter.scales('cdsBias')) ?? undefined,
  });
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
 * @returns false when a variance is not positive, or where a learned filter's scales would not be numbers
 */
export function applyBatchNorm(
  conv: Convolution,
  { gamma, beta, mean, variance, epsilon }: Normalization,
): boolean {
  if (variance.some((value) => !(value + epsilon > 0))) return false;
  const scale = gamma.map((value, o) => value / Math.sqrt(variance[o]! + epsilon));
  if (conv.trained && !scale.every(Number.isFinite)) return false;
  applyAffine(
    conv,
    scale,
    beta.map((value, o) => value - mean[o]! * scale[o]!),
  );
  conv.statistics = { mean: beta.slice(), deviation: gamma.map(Math.abs) };
  return true;
}
