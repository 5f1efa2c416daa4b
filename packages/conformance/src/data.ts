/** From a case to its numbers: activations, filter, bias, residual and slopes, each from its own stream of the generator. */
import {
  type ConvGeometry,
  DS_DEPTHWISE_CONV2D,
  DSConvFilter,
  type DSConvFilterParts,
  resolveGeometry,
  type ScaleFormat,
  type StoredScales,
  toFloat16Bits,
} from '@dsconv/core';
import { activations } from './activations.js';
import type { OperatorCase } from './case.js';
import { hashName, Random } from './random.js';

/** The numbers of a case, on the host. */
export interface CaseData {
  geometry: ConvGeometry;
  filter: DSConvFilter;
  x: Float32Array;
  bias?: Float32Array;
  /** Shape of the output. */
  residual?: Float32Array;
  preluActivationWeights?: Float32Array;
}

/** Makes the numbers of a case. The caller disposes the filter. */
export function makeData(c: OperatorCase): CaseData {
  const geometry = resolveGeometry(c);
  const stream = (name: string): Random => new Random(hashName(name, c.seed));
  const data: CaseData = {
    geometry,
    filter: makeFilter(c, stream('filter')),
    x: activations(c, stream('x')),
  };
  const exact = c.data !== 'random' && c.data !== 'wide';
  const smallNumber = (random: Random) => (exact ? random.integer(-16, 16) / 4 : 4 * random.bell());
  if (c.bias) {
    const random = stream('bias');
    data.bias = Float32Array.from({ length: c.outChannels }, () => smallNumber(random));
  }
  if (c.residual) {
    const random = stream('residual');
    const { batch, outHeight, outWidth, outChannels } = geometry;
    const length = batch * outHeight * outWidth * outChannels;
    data.residual = Float32Array.from({ length }, () => smallNumber(random));
  }
  if (c.activation === 'prelu') {
    const random = stream('prelu');
    // Negative, zero, below and above one; powers of two, so that the product is exact.
    const slopes = [0.25, -0.5, 0, 2, 1, -2];
    data.preluActivationWeights = Float32Array.from({ length: c.outChannels }, (_, o) =>
      exact ? slopes[o % slopes.length]! : slopes[o % slopes.length]! * (0.75 + random.uniform() / 2),
    );
  }
  return data;
}

/** Depth of one group as the filter's integers see it. */
function depthOf(c: OperatorCase): number {
  return c.kernel === DS_DEPTHWISE_CONV2D ? 1 : c.inputShape[3] / c.groups;
}

/**
 * The power of two for scales that brings outputs to single digits, where relu6 has something to cut and something to leave.
 * Counts bits of the formats and half the bits of the number of products, since signs are random.
 */
function baseScale(c: OperatorCase): number {
  const products = c.kernelSize[0] * c.kernelSize[1] * depthOf(c);
  const halfBits = (32 - Math.clz32(products)) >> 1;
  return 2 ** (4 - halfBits - c.bits - (c.activationBits ?? 8));
}

function makeFilter(c: OperatorCase, random: Random): DSConvFilter {
  const [kh, kw] = c.kernelSize;
  const isDepthwise = c.kernel === DS_DEPTHWISE_CONV2D;
  const channels = c.inputShape[3];
  const shape: [number, number, number, number] = isDepthwise
    ? [kh, kw, channels, c.outChannels / channels]
    : [kh, kw, depthOf(c), c.outChannels];
  const q = integers(c, shape, random);
  const exact = c.data !== 'random' && c.data !== 'wide';
  const base = baseScale(c);
  const blocks = kh * kw * Math.ceil(depthOf(c) / c.blockSize) * c.outChannels;
  // Where both levels have a scale, the channel's stays around one.
  const powerOfTwo = (low: number, high: number) => 2 ** random.integer(low, high);
  // The largest products leave no bits for scales of different size.
  const spread = c.data === 'extremes' ? 0 : -2;
  const blockScale = () =>
    (c.data === 'sparse' && random.chance(0.2) ? 0 : random.sign()) *
    base *
    (exact ? powerOfTwo(spread, 0) : 0.25 + random.uniform());
  const channelScale = (): number => {
    const value = exact ? powerOfTwo(-1, 1) : 0.5 + random.uniform();
    return c.shifters.kds ? value : value * base * random.sign();
  };
  const shift = () => base * (exact ? random.integer(-2, 2) : 2 * random.bell());
  const stored = (present: boolean, length: number, make: () => number): StoredScales | undefined =>
    present ? store(Float32Array.from({ length }, make), c.scales) : undefined;
  const parts: Omit<DSConvFilterParts, 'vqk'> = {
    kind: isDepthwise ? 'depthwise' : 'conv2d',
    shape,
    bits: c.bits,
    blockSize: c.blockSize,
    kds: stored(c.shifters.kds, blocks, blockScale),
    kdsBias: stored(c.shifters.kdsBias, blocks, shift),
    cds: stored(c.shifters.cds, c.outChannels, channelScale),
    cdsBias: stored(c.shifters.cdsBias, c.outChannels, shift),
  };
  return DSConvFilter.fromIntegers(parts, q);
}

function store(values: Float32Array, format: ScaleFormat): StoredScales {
  return format === 'float32'
    ? { format, data: values }
    : { format, data: Uint16Array.from(values, toFloat16Bits) };
}

/** The variable quantized kernel: the whole range of the format, both ends always present. */
function integers(
  c: OperatorCase,
  shape: readonly [number, number, number, number],
  random: Random,
): Int8Array {
  const low = -(2 ** (c.bits - 1));
  const high = -low - 1;
  const q = new Int8Array(shape[0] * shape[1] * shape[2] * shape[3]);
  for (let n = 0; n < q.length; n++) {
    if (c.data === 'extremes') {
      // By output channel: all low, all high, alternating along the depth, random ends.
      const o = n % c.outChannels;
      const i = Math.floor(n / c.outChannels);
      const useLow = [true, false, i % 2 === 0, random.chance(0.5)][o % 4]!;
      q[n] = useLow ? low : high;
    } else {
      q[n] = random.integer(low, high);
    }
  }
  if (c.data !== 'extremes' && q.length >= 2) {
    q[random.integer(0, (q.length >> 1) - 1)] = low;
    q[random.integer(q.length >> 1, q.length - 1)] = high;
  }
  return q;
}
