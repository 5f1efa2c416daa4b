/** Conformance cases as data: everything that is needed to run one anywhere, numbers included by way of a seed. */
import {
  type Activation,
  type BfpFormat,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvKernelName,
  type Padding,
  type ScaleFormat,
} from '@dsconv/core';
import { hashName } from './random.js';

/** exact: equal to the reference; bounded: within the bound of NUMERICS §5; behaviour: everything that is not a number. */
export type Tier = 'exact' | 'bounded' | 'behaviour';

/** A backend that declines a core case fails; an extended case may be declined with a reason. */
export type Level = 'core' | 'extended';

/**
 * How the numbers of a case are made. All but the last two keep every float sum exact.
 *   - integers: whole numbers times a power of two per block, so that BFP changes nothing
 *   - rounding: halves, values beyond the clamp and just below a power of two, so that BFP rounds every way it can
 *   - extremes: every product as large as the formats allow, all combinations of signs
 *   - sparse: many zero blocks, -0 included, in activations and filter
 *   - tiny: subnormal numbers and others below 2^-100, which count as zero
 *   - nan, infinity: integers, with single values that are not finite
 *   - random: bell-shaped, a magnitude per block, some zeros
 *   - wide: pixels from 2^-100 to 2^90
 */
export type DataKind =
  | 'integers'
  | 'rounding'
  | 'extremes'
  | 'sparse'
  | 'tiny'
  | 'nan'
  | 'infinity'
  | 'random'
  | 'wide';

/** Which shifters the filter has; `kds` false with `cds` true is per-channel quantization. */
export interface Shifters {
  kds: boolean;
  kdsBias: boolean;
  cds: boolean;
  cdsBias: boolean;
}

/** One call of the operator. */
export interface OperatorCase {
  name: string;
  seed: number;
  kernel: DSConvKernelName;
  /** NHWC. */
  inputShape: [number, number, number, number];
  kernelSize: [number, number];
  /** Depthwise: a multiple of the input channels. */
  outChannels: number;
  bits: number;
  blockSize: number;
  groups: number;
  strides: [number, number];
  dilations: [number, number];
  pad: Padding;
  activation: Activation;
  leakyreluAlpha: number;
  bias: boolean;
  residual: boolean;
  shifters: Shifters;
  scales: ScaleFormat;
  activationBits: number | null;
  outputFormat: Required<BfpFormat> | null;
  data: DataKind;
}

/** A case whose outputs are compared with the reference. */
export interface NumericCase extends OperatorCase {
  tier: 'exact' | 'bounded';
  level: Level;
}

/** What a behaviour case asserts; `behaviours.ts` says how. */
export type Behaviour =
  | 'known-answer'
  | 'inputs-untouched'
  | 'filter-untouched'
  | 'deterministic'
  | 'disposed-filter'
  | 'interleaved-filters'
  | 'input-sizes'
  | 'dispose-others'
  | 'memory-flat'
  | 'tidy'
  | 'rank-3'
  | 'gradient';

export interface BehaviourCase {
  tier: 'behaviour';
  level: Level;
  name: string;
  behaviour: Behaviour;
  /** The call on which the behaviour is observed. */
  on: OperatorCase;
}

export type ConformanceCase = NumericCase | BehaviourCase;

/** Per-block scales alone, the default form. */
export const KDS: Shifters = { kds: true, kdsBias: false, cds: false, cdsBias: false };
/** One scale per output channel. */
export const PER_CHANNEL: Shifters = { kds: false, kdsBias: false, cds: true, cdsBias: false };
/** Everything: the 2018 form of the paper. */
export const ALL_SHIFTERS: Shifters = { kds: true, kdsBias: true, cds: true, cdsBias: true };

/** A convolution: 3×3, 'same', 4 bits, blocks of 32 channels, unless told otherwise. The seed follows from the name. */
export function convolution(name: string, overrides: Partial<OperatorCase> = {}): OperatorCase {
  return {
    name,
    seed: hashName(name),
    kernel: DSCONV2D,
    inputShape: [1, 5, 6, 40],
    kernelSize: [3, 3],
    outChannels: 9,
    bits: 4,
    blockSize: 32,
    groups: 1,
    strides: [1, 1],
    dilations: [1, 1],
    pad: 'same',
    activation: 'linear',
    leakyreluAlpha: 0.25,
    bias: true,
    residual: false,
    shifters: KDS,
    scales: 'float16',
    activationBits: 8,
    outputFormat: null,
    data: 'integers',
    ...overrides,
  };
}

/** A depthwise convolution: 3×3, 'same', 8 bits per channel, `multiplier` outputs per channel. */
export function depthwise(
  name: string,
  multiplier: number,
  overrides: Partial<OperatorCase> = {},
): OperatorCase {
  const inputShape = overrides.inputShape ?? [1, 5, 6, 19];
  return convolution(name, {
    kernel: DS_DEPTHWISE_CONV2D,
    inputShape,
    outChannels: inputShape[3] * multiplier,
    bits: 8,
    shifters: PER_CHANNEL,
    ...overrides,
  });
}

/** Multiply-accumulates of a case, an upper limit that ignores padding; to sort and trim lists by. */
export function costOf(testCase: ConformanceCase): number {
  const c = testCase.tier === 'behaviour' ? testCase.on : testCase;
  const [batch, height, width, channels] = c.inputShape;
  const depth = c.kernel === DS_DEPTHWISE_CONV2D ? 1 : channels / c.groups;
  const pixels = (batch * height * width) / (c.strides[0] * c.strides[1]);
  return Math.ceil(pixels * c.kernelSize[0] * c.kernelSize[1] * depth * c.outChannels);
}
