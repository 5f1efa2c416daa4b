/** What a model's batch normalizations tell about its convolutions, for corrections that need no data. */
import { propagateMeans } from '../calibration/correct-biases.js';
import { type NetworkStructure, placeholder } from '../calibration/structure.js';
import { wantsCorrection, wantsKernels } from '../quantize-network.js';
import { pairsOf, type ScaledPair } from '../scale-ranges.js';
import type { AccuracyOptions, Recordable } from './accuracy.js';
import { applyAffine, type Convolution } from './convolution.js';
import type { ConvolutionPlan, QuantizeOptions } from './plan-convolutions.js';

/** What batch normalizations tell about a model. */
export interface Look {
  /** With ranges scaled. */
  convolutions: ReadonlyMap<string, Convolution>;
  scaledRanges: number;
  /** Mean inputs by convolution. */
  means: ReadonlyMap<string, Float64Array>;
  /** Why there are none, or null. */
  reason: string | null;
}

export async function lookInto(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  options: QuantizeOptions & AccuracyOptions,
  model: Recordable,
): Promise<Look> {
  const { rangeScaling, activationBits = 8 } = options;
  const scales = activationBits !== null && wantsKernels('rangeScaling', rangeScaling);
  const corrects = wantsCorrection(options);
  const nothing = (reason: string): Look => {
    return { convolutions, scaledRanges: 0, means: new Map(), reason };
  };
  if (!scales && !corrects) return nothing('not asked for');
  if (!model.normalizes && [...convolutions.values()].every(({ statistics }) => statistics === null)) {
    return nothing('the model has no batch normalization that tells mean inputs');
  }
  let structure: NetworkStructure;
  try {
    structure = await record(convolutions, plans, null, model);
  } catch (error) {
    // The model itself is not at fault: it only cannot be looked into. What else is wrong with it, comparing tells.
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
    return nothing(`the model cannot be recorded: ${why}`);
  }
  const pairs = scales ? pairsOf(structure, (name) => convolutions.get(name)!.statistics) : [];
  const scaled = scaleConvolutions(convolutions, pairs);
  const means = corrects
    ? propagateMeans(structure, (name) => scaled.get(name)!.statistics)
    : new Map<string, Float64Array>();
  return {
    convolutions: scaled,
    scaledRanges: pairs.length,
    means,
    reason: corrects ? null : 'not asked for',
  };
}

/** Channels multiplied where they are made, and divided where the one depthwise convolution reads them. */
export function scaleConvolutions(
  convolutions: ReadonlyMap<string, Convolution>,
  pairs: readonly ScaledPair[],
): Map<string, Convolution> {
  const scaled = new Map(convolutions);
  for (const { from, to, factors } of pairs) {
    const maker = { ...scaled.get(from)! };
    applyAffine(maker, Float32Array.from(factors), null);
    scaled.set(from, maker);
    const reader = scaled.get(to)!;
    const weights = reader.weights.map((w, n) => w / factors[n % factors.length]!);
    scaled.set(to, { ...reader, weights });
  }
  return scaled;
}

/** One mean for each input channel. A dense layer behind a flattening reads every channel once for every pixel. */
export function widened(
  mean: Float64Array | undefined,
  { kind, shape, groups }: Convolution,
): Float64Array | null {
  if (!mean) return null;
  const channels = kind === 'depthwise' ? shape[2] : shape[2] * groups;
  if (channels === mean.length) return mean;
  if (groups !== 1 || kind === 'depthwise' || channels % mean.length !== 0) return null;
  return Float64Array.from({ length: channels }, (_, i) => mean[i % mean.length]!);
}

/** The structure does not depend on the filters' values. */
export async function record(
  convolutions: ReadonlyMap<string, Convolution>,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  batch: number | null,
  model: Recordable,
): Promise<NetworkStructure> {
  const filters = new Map(
    [...convolutions].map(([name, { kind, shape }]) => [
      name,
      placeholder(kind === 'depthwise', shape, plans.get(name)!),
    ]),
  );
  try {
    return await model.record(filters, batch);
  } finally {
    for (const filter of filters.values()) filter.dispose();
  }
}
