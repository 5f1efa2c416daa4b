/** From float weights to a {@link DSConvFilter}. NUMERICS §2; paper, section 3.2. */
import { InvalidArgumentError, NotFiniteError } from './errors.js';
import { DSConvFilter, type FilterKind } from './filter.js';
import { BlockFitter, type QuantizeMethod, type RoundScale } from './fit.js';
import {
  fitsFloat16,
  roundToFloat16IfClose,
  type ScaleFormat,
  type StoredScales,
  storeScales,
} from './scales.js';

export type { QuantizeMethod } from './fit.js';

export interface QuantizeOptions {
  /** Weight bits, 2 to 8. */
  bits: number;
  /** Depth of a block, `B`. Default 64. */
  blockSize?: number;
  /** Default 'search', which is never worse than 'absmax' on any block. */
  method?: QuantizeMethod;
  /** Storage of scales; float32 is taken for a part where float16 would overflow or lose more than 2^-10. Default 'float16'. */
  scales?: ScaleFormat;
  /** Fit a bias per block too (the 2018 form). Default false. */
  kdsBias?: boolean;
  /** Fit a scale and bias per output channel that match mean and variance of the float weights. Default false. */
  cds?: boolean;
  /** One scale per output channel instead of one per block. Default: where the depth `I` is below 16. */
  perChannel?: boolean;
  /** Named in errors. */
  name?: string;
}

/** Below this depth a scale per tap costs more than the weights it scales. */
export const PER_CHANNEL_BELOW = 16;

/**
 * Quantizes the filter of a convolution. Weights should already be folded with batch normalization.
 *
 * @param weights float32 HWIO, `[kh, kw, I, O]`
 * @throws NotFiniteError naming tensor and index of a NaN or infinite weight
 * @throws InvalidArgumentError when an option is out of range
 */
export function quantizeFilter(
  weights: Float32Array,
  shape: readonly [number, number, number, number],
  options: QuantizeOptions,
): DSConvFilter {
  const perChannel = options.perChannel ?? shape[2] < PER_CHANNEL_BELOW;
  checkOptions(weights, shape, options, perChannel);
  return perChannel
    ? quantizePerChannel('conv2d', weights, shape, options)
    : quantizePerBlock(weights, shape, options);
}

/**
 * Quantizes the filter of a depthwise convolution: always one scale per output channel.
 *
 * @param weights float32 `[kh, kw, C, multiplier]`
 */
export function quantizeDepthwiseFilter(
  weights: Float32Array,
  shape: readonly [number, number, number, number],
  options: Omit<QuantizeOptions, 'kdsBias' | 'cds' | 'perChannel'>,
): DSConvFilter {
  checkOptions(weights, shape, options, true);
  return quantizePerChannel('depthwise', weights, shape, options);
}

function quantizePerBlock(
  weights: Float32Array,
  shape: readonly [number, number, number, number],
  options: QuantizeOptions,
): DSConvFilter {
  const [kh, kw, depth, outputs] = shape;
  const { bits, blockSize = 64, scales = 'float16', kdsBias = false, cds = false } = options;
  const blocks = Math.ceil(depth / blockSize);
  const q = new Int8Array(weights.length);
  const scale = new Float32Array(kh * kw * blocks * outputs);
  const bias = kdsBias ? new Float32Array(scale.length) : null;

  const fitAll = (round: RoundScale): void => {
    const fitter = new BlockFitter(
      Math.min(blockSize, depth),
      bits,
      options.method ?? 'search',
      kdsBias,
      round,
    );
    const gathered = new Float64Array(Math.min(blockSize, depth));
    for (let tap = 0; tap < kh * kw; tap++) {
      for (let j = 0; j < blocks; j++) {
        const start = j * blockSize;
        const length = Math.min(blockSize, depth - start);
        const base = (tap * depth + start) * outputs;
        for (let o = 0; o < outputs; o++) {
          for (let i = 0; i < length; i++) gathered[i] = weights[base + i * outputs + o]!;
          fitter.fit(gathered, length);
          for (let i = 0; i < length; i++) q[base + i * outputs + o] = fitter.q[i]!;
          const s = (tap * blocks + j) * outputs + o;
          scale[s] = fitter.scale;
          if (bias) bias[s] = fitter.bias;
        }
      }
    }
  };
  // Scales are rounded to their storage format while fitting, so that integers and stored scales belong together.
  // Whether float16 will do is known afterwards; if not, the fit is done again in float32.
  let format: ScaleFormat = scales;
  if (format === 'float16') {
    fitAll(roundToFloat16IfClose);
    if (!fitsFloat16(scale) || (bias && !fitsFloat16(bias))) format = 'float32';
  }
  if (format === 'float32') fitAll(Math.fround);
  const parts = {
    kind: 'conv2d' as const,
    shape,
    bits,
    blockSize,
    kds: storeScales(scale, format),
    kdsBias: bias ? storeScales(bias, format) : undefined,
  };
  const filter = DSConvFilter.fromIntegers(parts, q);
  return cds ? withChannelShifters(filter, q, parts, weights, format) : filter;
}

/** Adds `cds` and `cdsBias` so that mean and variance of every output channel of ŵ match those of w (paper, section 3.3). */
function withChannelShifters(
  filter: DSConvFilter,
  q: Int8Array,
  parts: Parameters<typeof DSConvFilter.fromIntegers>[0],
  weights: Float32Array,
  format: ScaleFormat,
): DSConvFilter {
  const outputs = filter.outChannels;
  const approximate = filter.dequantize();
  const scale = new Float32Array(outputs);
  const bias = new Float32Array(outputs);
  for (let o = 0; o < outputs; o++) {
    const wanted = moments(weights, o, outputs);
    const found = moments(approximate, o, outputs);
    scale[o] = found.deviation === 0 ? 1 : wanted.deviation / found.deviation;
    bias[o] = wanted.mean - scale[o]! * found.mean;
  }
  return DSConvFilter.fromIntegers(
    { ...parts, cds: storeScales(scale, format), cdsBias: storeScales(bias, format) },
    q,
  );
}

function moments(values: Float32Array, start: number, step: number): { mean: number; deviation: number } {
  const count = values.length / step;
  let mean = 0;
  for (let n = start; n < values.length; n += step) mean += values[n]!;
  mean /= count;
  let variance = 0;
  for (let n = start; n < values.length; n += step) variance += (values[n]! - mean) ** 2;
  return { mean, deviation: Math.sqrt(variance / count) };
}

function quantizePerChannel(
  kind: FilterKind,
  weights: Float32Array,
  shape: readonly [number, number, number, number],
  options: QuantizeOptions,
): DSConvFilter {
  const outputs = kind === 'depthwise' ? shape[2] * shape[3] : shape[3];
  const length = weights.length / outputs;
  const q = new Int8Array(weights.length);
  const scale = new Float32Array(outputs);
  const gathered = new Float64Array(length);
  const fitAll = (round: RoundScale): void => {
    const fitter = new BlockFitter(length, options.bits, options.method ?? 'search', false, round);
    for (let o = 0; o < outputs; o++) {
      for (let i = 0; i < length; i++) gathered[i] = weights[i * outputs + o]!;
      fitter.fit(gathered, length);
      for (let i = 0; i < length; i++) q[i * outputs + o] = fitter.q[i]!;
      scale[o] = fitter.scale;
    }
  };
  let format: ScaleFormat = options.scales ?? 'float16';
  if (format === 'float16') {
    fitAll(roundToFloat16IfClose);
    if (!fitsFloat16(scale)) format = 'float32';
  }
  if (format === 'float32') fitAll(Math.fround);
  const cds: StoredScales = storeScales(scale, format);
  const { bits, blockSize = 64 } = options;
  return DSConvFilter.fromIntegers({ kind, shape, bits, blockSize, cds }, q);
}

function checkOptions(
  weights: Float32Array,
  shape: readonly [number, number, number, number],
  options: QuantizeOptions,
  perChannel: boolean,
): void {
  const { bits, blockSize = 64, scales = 'float16', method = 'search', name = 'weights' } = options;
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new InvalidArgumentError(`bits is ${bits}; expected an integer from 2 to 8`);
  }
  if (!Number.isInteger(blockSize) || blockSize < 1) {
    throw new InvalidArgumentError(`blockSize is ${blockSize}; expected a positive integer`);
  }
  if (scales !== 'float16' && scales !== 'float32') {
    throw new InvalidArgumentError(`scales is ${String(scales)}; expected 'float16' or 'float32'`);
  }
  if (method !== 'absmax' && method !== 'search') {
    throw new InvalidArgumentError(`method is ${String(method)}; expected 'absmax' or 'search'`);
  }
  if (perChannel && (options.kdsBias || options.cds)) {
    throw new InvalidArgumentError(
      `kdsBias or cds is asked for '${name}', which is quantized per channel; expected perChannel: false with them`,
    );
  }
  const count = shape.reduce((product, d) => product * d, 1);
  if (shape.length !== 4 || weights.length !== count) {
    throw new InvalidArgumentError(
      `'${name}' has ${weights.length} weights and shape [${shape}]; expected four dimensions with a product of that`,
    );
  }
  const bad = weights.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new NotFiniteError(`'${name}'[${bad}] is ${weights[bad]}; expected a finite weight`);
  }
}
