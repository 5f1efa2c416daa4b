/** Gradients of the float composite `activation(conv2d(x, ŵ) + bias + residual)` in float64, written out loop by loop. */
import { type Activation, DS_DEPTHWISE_CONV2D } from '@dsconv/core';
import type { OperatorCase } from './case.js';
import { linearReference } from './compare.js';
import type { CaseData } from './data.js';
import { Random } from './random.js';

/** A gradient and the size of the terms it is the sum of. */
export interface GradientReference {
  value: Float64Array;
  magnitude: Float64Array;
}

export interface Gradients {
  /** The gradient of the output that is fed in; zero where the activation has a kink. */
  dy: Float32Array;
  /** By the operator's names; only the inputs the case has. */
  expected: Record<string, GradientReference>;
}

/** Closer than this to a kink of the activation the slope is a matter of convention, and no gradient is asked for. */
const KINK = 1e-3;

/** The case's activations must be whole numbers (`data: 'integers'`), so that BFP changes nothing and the sums are exact. */
export function gradientReference(c: OperatorCase, data: CaseData): Gradients {
  const before = linearReference(c, data).output;
  const random = new Random(c.seed);
  const dy = Float32Array.from(before, (sum) => {
    const value = random.integer(-8, 8) / 4;
    return c.activation !== 'linear' && (Math.abs(sum) < KINK || Math.abs(sum - 6) < KINK) ? 0 : value;
  });
  const slopes = data.preluActivationWeights;
  const dSum = Float64Array.from(dy, (value, n) => {
    const slope = slopes ? slopes[n % c.outChannels]! : c.leakyreluAlpha;
    return value * derivative(c.activation, before[n]!, slope);
  });
  const expected: Record<string, GradientReference> = { x: inputGradient(c, data, dSum) };
  if (data.bias) expected.bias = sumOverPixels(dSum, c.outChannels);
  if (data.residual) expected.residual = { value: dSum, magnitude: dSum.map(Math.abs) };
  if (slopes) {
    const weighted = Float64Array.from(dy, (value, n) => value * Math.min(before[n]!, 0));
    expected.preluActivationWeights = sumOverPixels(weighted, c.outChannels);
  }
  return { dy, expected };
}

function derivative(activation: Activation, sum: number, slope: number): number {
  switch (activation) {
    case 'linear':
      return 1;
    case 'relu':
      return sum > 0 ? 1 : 0;
    case 'relu6':
      return sum > 0 && sum < 6 ? 1 : 0;
    case 'silu': {
      const s = 1 / (1 + Math.exp(-sum));
      return s * (1 + sum * (1 - s));
    }
    case 'leakyrelu':
    case 'prelu':
      return sum > 0 ? 1 : slope;
  }
}

function sumOverPixels(values: Float64Array, channels: number): GradientReference {
  const value = new Float64Array(channels);
  const magnitude = new Float64Array(channels);
  values.forEach((term, n) => {
    value[n % channels]! += term;
    magnitude[n % channels]! += Math.abs(term);
  });
  return { value, magnitude };
}

/** Sends every output's gradient back along the taps that made it. */
function inputGradient(c: OperatorCase, data: CaseData, dSum: Float64Array): GradientReference {
  const { geometry: g, filter } = data;
  const weights = filter.dequantize();
  const isDepthwise = c.kernel === DS_DEPTHWISE_CONV2D;
  const depth = isDepthwise ? 1 : filter.shape[2];
  const value = new Float64Array(data.x.length);
  const magnitude = new Float64Array(data.x.length);
  for (let n = 0; n < dSum.length; n++) {
    const o = n % g.outChannels;
    const pixel = (n - o) / g.outChannels;
    const ow = pixel % g.outWidth;
    const oh = Math.floor(pixel / g.outWidth) % g.outHeight;
    const image = Math.floor(pixel / (g.outWidth * g.outHeight));
    const first = isDepthwise
      ? Math.floor(o / filter.shape[3])
      : Math.floor(o / (g.outChannels / g.groups)) * depth;
    for (let kh = 0; kh < g.kernelHeight; kh++) {
      for (let kw = 0; kw < g.kernelWidth; kw++) {
        const ih = oh * g.strideHeight + kh * g.dilationHeight - g.padTop;
        const iw = ow * g.strideWidth + kw * g.dilationWidth - g.padLeft;
        if (ih < 0 || ih >= g.inHeight || iw < 0 || iw >= g.inWidth) continue;
        const to = ((image * g.inHeight + ih) * g.inWidth + iw) * g.inChannels + first;
        for (let i = 0; i < depth; i++) {
          const weight = weights[((kh * g.kernelWidth + kw) * depth + i) * g.outChannels + o]!;
          value[to + i]! += dSum[n]! * weight;
          magnitude[to + i]! += Math.abs(dSum[n]! * weight);
        }
      }
    }
  }
  return { value, magnitude };
}
