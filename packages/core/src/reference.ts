/**
 * The float64 reference: NUMERICS §4 written down as it stands, one term after the other. It is the judge of every backend and makes no
 * attempt to be fast. Beside each output it returns the size of the terms that were added, from which the bound of §5 follows.
 */
import { quantizeBfp } from './bfp.js';
import type { Activation } from './contract.js';
import type { DSConvFilter } from './filter.js';
import type { ConvGeometry } from './geometry.js';

export interface ReferenceInputs {
  /** NHWC. */
  x: Float32Array;
  bias?: Float32Array | undefined;
  /** Shape of the output. */
  residual?: Float32Array | undefined;
  preluActivationWeights?: Float32Array | undefined;
}

export interface ReferenceOptions {
  geometry: ConvGeometry;
  /** `m`, or null for float activations. */
  activationBits: number | null;
  activation?: Activation;
  leakyreluAlpha?: number;
}

export interface ReferenceResult {
  /** `activation(y + residual)` in float64, before any `outputFormat`; `[batch, outHeight, outWidth, outChannels]`. */
  output: Float64Array;
  /** `Σ|terms|` of each output, bias and residual included. */
  magnitude: Float64Array;
  /** Number of float terms of each output. */
  terms: Int32Array;
}

/** Computes `dsconv2d` (or `dsDepthwiseConv2d`, by the kind of the filter) in float64. */
export function referenceDSConv2d(
  inputs: ReferenceInputs,
  filter: DSConvFilter,
  options: ReferenceOptions,
): ReferenceResult {
  const { geometry: g, activation = 'linear', leakyreluAlpha = 0.2 } = options;
  const { outHeight, outWidth, outChannels } = g;
  const count = g.batch * outHeight * outWidth * outChannels;
  const output = new Float64Array(count);
  const magnitude = new Float64Array(count);
  const terms = new Int32Array(count);
  const taps =
    options.activationBits === null
      ? floatTaps(inputs.x, filter, g)
      : integerTaps(inputs.x, filter, g, options.activationBits);
  let at = 0;
  for (let n = 0; n < g.batch; n++) {
    for (let oh = 0; oh < outHeight; oh++) {
      for (let ow = 0; ow < outWidth; ow++) {
        for (let o = 0; o < outChannels; o++, at++) {
          const sum = { value: 0, magnitude: 0, terms: 0 };
          if (inputs.bias) add(sum, inputs.bias[o]!);
          for (let kh = 0; kh < g.kernelHeight; kh++) {
            const ih = oh * g.strideHeight + kh * g.dilationHeight - g.padTop;
            if (ih < 0 || ih >= g.inHeight) continue;
            for (let kw = 0; kw < g.kernelWidth; kw++) {
              const iw = ow * g.strideWidth + kw * g.dilationWidth - g.padLeft;
              if (iw < 0 || iw >= g.inWidth) continue;
              taps((n * g.inHeight + ih) * g.inWidth + iw, kh * g.kernelWidth + kw, o, sum);
            }
          }
          if (inputs.residual) add(sum, inputs.residual[at]!);
          const slope = activation === 'prelu' ? inputs.preluActivationWeights![o]! : leakyreluAlpha;
          output[at] = activate(sum.value, activation, slope);
          magnitude[at] = sum.magnitude;
          terms[at] = sum.terms;
        }
      }
    }
  }
  return { output, magnitude, terms };
}

interface Sum {
  value: number;
  magnitude: number;
  terms: number;
}

function add(sum: Sum, term: number): void {
  sum.value += term;
  sum.magnitude += Math.abs(term);
  sum.terms++;
}

/** Adds the terms of one pixel and one tap to the sum of output channel `o`. */
type AddTap = (pixel: number, tap: number, o: number, sum: Sum) => void;

/** `scale * (cds*kds*P + (cds*kdsBias + cdsBias) * ΣM)` per block. */
function integerTaps(x: Float32Array, filter: DSConvFilter, g: ConvGeometry, bits: number): AddTap {
  const depthwise = filter.kind === 'depthwise';
  const q = filter.unpack();
  const kds = filter.scales('kds');
  const kdsBias = filter.scales('kdsBias');
  const cds = filter.scales('cds');
  const cdsBias = filter.scales('cdsBias');
  const { blockSize, blocks, outChannels } = filter;
  const channels = g.inChannels;
  const groups = depthwise ? 1 : g.groups;
  const { mantissa, scale, blocksPerGroup } = quantizeBfp(x, channels, { bits, blockSize, groups });
  const depth = depthwise ? 1 : filter.shape[2];
  const multiplier = depthwise ? filter.shape[3] : 1;
  return (pixel, tap, o, sum) => {
    const group = depthwise ? 0 : Math.floor(o / (outChannels / groups));
    const perChannel = cds ? cds[o]! : 1;
    for (let j = 0; j < blocks; j++) {
      const first = depthwise ? Math.floor(o / multiplier) : group * depth + j * blockSize;
      const length = depthwise ? 1 : Math.min(blockSize, depth - j * blockSize);
      const block = depthwise ? Math.floor(first / blockSize) : j;
      const blockScale = scale[(pixel * groups + group) * blocksPerGroup + block]!;
      let product = 0;
      let total = 0;
      for (let i = 0; i < length; i++) {
        const m = mantissa[pixel * channels + first + i]!;
        product += q[(tap * depth + j * blockSize + i) * outChannels + o]! * m;
        total += m;
      }
      const s = (tap * blocks + j) * outChannels + o;
      add(sum, blockScale * perChannel * (kds ? kds[s]! : 1) * product);
      // Two terms, though §4 writes them as one factor: where they nearly cancel, their sum says nothing about the rounding of either.
      if (kdsBias) add(sum, blockScale * perChannel * kdsBias[s]! * total);
      if (cdsBias) add(sum, blockScale * cdsBias[o]! * total);
    }
  };
}

/** `conv2d(x, ŵ)`: float activations, the filter's float weights unrounded. */
function floatTaps(x: Float32Array, filter: DSConvFilter, g: ConvGeometry): AddTap {
  const depthwise = filter.kind === 'depthwise';
  const weights = filter.dequantize();
  const depth = depthwise ? 1 : filter.shape[2];
  const outputs = filter.outChannels;
  return (pixel, tap, o, sum) => {
    const first = depthwise ? Math.floor(o / filter.shape[3]) : Math.floor(o / (outputs / g.groups)) * depth;
    for (let i = 0; i < depth; i++) {
      add(sum, x[pixel * g.inChannels + first + i]! * weights[(tap * depth + i) * outputs + o]!);
    }
  };
}

/** The fused activations in float64; NaN stays NaN. */
export function activate(value: number, activation: Activation, slope: number): number {
  switch (activation) {
    case 'linear':
      return value;
    case 'relu':
      return value <= 0 ? 0 : value;
    case 'relu6':
      return value <= 0 ? 0 : Math.min(value, 6);
    case 'silu':
      return value === -Infinity ? 0 : value / (1 + Math.exp(-value));
    case 'leakyrelu':
    case 'prelu':
      return value < 0 ? slope * value : value;
  }
}
