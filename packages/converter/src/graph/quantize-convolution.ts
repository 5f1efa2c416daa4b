/** One convolution of a model, quantized, and what is said about it. */
import { type DSConvFilter, quantizeDepthwiseFilter, quantizeFilter } from '@dsconv/core';
import { signalToNoise } from '../signal-to-noise.js';
import type { Convolution } from './convolution.js';
import type { ConvolutionPlan, QuantizeOptions } from './plan-convolutions.js';

/** What became of one convolution. */
export interface ConvolutionReport {
  /** Name of the node or layer. */
  name: string;
  kind: 'conv2d' | 'depthwise' | 'dense';
  shape: readonly number[];
  /** Nodes or layers of the original that it stands for. */
  folded: readonly string[];
  bits: number;
  blockSize: number;
  perChannel: boolean;
  /** Bytes of the float32 weights, and of the packed integers and scales. */
  bytesBefore: number;
  bytesAfter: number;
  /** Of the weights, dB; null where nothing was lost. */
  snrDb: number | null;
}

/** Rounds the weights, nothing else. @throws NotFiniteError naming the convolution and the index of a NaN or infinite weight */
export function quantizeConvolution(
  name: string,
  { kind, shape, weights }: Pick<Convolution, 'kind' | 'shape' | 'weights'>,
  { bits, blockSize, perChannel }: ConvolutionPlan,
  { scales = 'float16', method = 'search' }: Pick<QuantizeOptions, 'scales' | 'method'>,
): DSConvFilter {
  const common = { bits, blockSize, scales, method, name };
  return kind === 'depthwise'
    ? quantizeDepthwiseFilter(weights, shape, common)
    : quantizeFilter(weights, shape, { ...common, perChannel });
}

export function describeConvolution(
  name: string,
  { kind, shape, weights, folded, isDense }: Convolution,
  plan: ConvolutionPlan,
  filter: DSConvFilter,
): ConvolutionReport {
  return {
    name,
    kind: isDense ? 'dense' : kind,
    shape,
    folded,
    bits: plan.bits,
    blockSize: plan.blockSize,
    perChannel: plan.perChannel,
    bytesBefore: weights.byteLength,
    bytesAfter: filter.byteLength,
    snrDb: signalToNoise(weights, filter.dequantize()),
  };
}
