/** The verdict on one output tensor: each element on its own, no tolerance for the whole, no average. NUMERICS §5. */
import {
  type Activation,
  activate,
  type BfpFormat,
  type ReferenceResult,
  referenceDSConv2d,
  roundToBfp,
} from '@dsconv/core';
import type { NumericCase, OperatorCase } from './case.js';
import type { CaseData } from './data.js';
import { whyNotExact } from './exactness.js';
import { BfpIntervals } from './intervals.js';

/** The first output that is wrong, and how many are. */
export interface Mismatch {
  /** `[n, h, w, c]` of the output. */
  index: [number, number, number, number];
  value: number;
  /** What the reference says, rounded to the `outputFormat` where one is given. */
  reference: number;
  /** By how much the value may differ; 0 in the exact tier. */
  bound: number;
  failed: number;
  total: number;
}

/** The judge of a case: the reference's outputs and how far each may be missed. */
export interface Expectation {
  /** After activation, before `outputFormat`, float64. */
  reference: Float64Array;
  /** Allowed distance per output, before `outputFormat`; NaN where the reference is NaN. */
  bound: Float64Array;
}

/** Computes the reference of a case; `exact` asks for bounds of zero. Throws when an exact case is not exact. */
export function expectationOf(c: OperatorCase, data: CaseData, exact: boolean): Expectation {
  const before = linearReference(c, data);
  if (exact) {
    const reason = whyNotExact(c, data, before.magnitude);
    if (reason) throw new Error(`case '${c.name}' cannot be held to the exact tier: ${reason}`);
  }
  const reference = new Float64Array(before.output.length);
  const bound = new Float64Array(reference.length);
  for (let n = 0; n < reference.length; n++) {
    const slope = data.preluActivationWeights
      ? data.preluActivationWeights[n % c.outChannels]!
      : c.leakyreluAlpha;
    const sum = before.output[n]!;
    reference[n] = activate(sum, c.activation, slope);
    if (exact) continue;
    const sumBound = 4 * before.terms[n]! * 2 ** -24 * before.magnitude[n]!;
    bound[n] = sumBound * steepness(c.activation, slope) + activationError(c.activation, sum, reference[n]!);
  }
  return { reference, bound };
}

/** The reference before the activation, residual included. */
export function linearReference(c: OperatorCase, data: CaseData): ReferenceResult {
  const { x, bias, residual, filter, geometry } = data;
  return referenceDSConv2d({ x, bias, residual }, filter, { geometry, activationBits: c.activationBits });
}

/** The most by which an activation stretches a difference. */
function steepness(activation: Activation, slope: number): number {
  if (activation === 'silu') return 1.1;
  return activation === 'leakyrelu' || activation === 'prelu' ? Math.max(1, Math.abs(slope)) : 1;
}

/**
 * What float32 adds in the activation itself: one rounding of the product with a slope; for silu a few units in the last place, more where
 * the exponential is large, whose relative error grows with its argument (WGSL allows 3 + 2|x| units).
 */
function activationError(activation: Activation, sum: number, result: number): number {
  switch (activation) {
    case 'leakyrelu':
    case 'prelu':
      return 2 ** -23 * Math.abs(result);
    case 'silu':
      return 2 ** -23 * (8 + (sum < 0 ? 2 * -sum : 0)) * Math.abs(result) + 2 ** -126;
    default:
      return 0;
  }
}

/** Compares an output with the reference; null when every element is within its bound. */
export function compareOutput(c: NumericCase, data: CaseData, output: ArrayLike<number>): Mismatch | null {
  const expectation = expectationOf(c, data, c.tier === 'exact');
  return compareWith(c, expectation, data.geometry.outHeight, data.geometry.outWidth, output);
}

export function compareWith(
  c: OperatorCase,
  { reference, bound }: Expectation,
  outHeight: number,
  outWidth: number,
  output: ArrayLike<number>,
): Mismatch | null {
  const total = reference.length;
  const wrong = c.outputFormat
    ? wrongOnGrid(reference, bound, c.outChannels, c.outputFormat, output)
    : wrongPlain(reference, bound, output);
  const first = wrong[0];
  if (first === undefined) return null;
  const pixel = Math.floor(first / c.outChannels);
  const row = Math.floor(pixel / outWidth);
  const rounded = c.outputFormat
    ? roundToBfp(Float32Array.from(reference), c.outChannels, c.outputFormat)
    : reference;
  return {
    index: [Math.floor(row / outHeight), row % outHeight, pixel % outWidth, first % c.outChannels],
    value: output[first]!,
    reference: rounded[first]!,
    bound: bound[first]!,
    failed: wrong.length,
    total,
  };
}

function wrongPlain(reference: Float64Array, bound: Float64Array, output: ArrayLike<number>): number[] {
  const wrong: number[] = [];
  for (let n = 0; n < reference.length; n++) {
    const expected = reference[n]!;
    const value = output[n]!;
    const fits = Number.isNaN(expected)
      ? Number.isNaN(value)
      : value === expected || Math.abs(value - expected) <= bound[n]!;
    if (!fits) wrong.push(n);
  }
  return wrong;
}

/**
 * With `outputFormat` the value before rounding is out of reach. A block is right when some set of values within the bounds rounds to it; so
 * an element may be one step off only where its reference lies within the bound of a rounding boundary, and the block's exponent
 * may be the next one only where the block's maximum lies within its bound of a power of two.
 */
function wrongOnGrid(
  reference: Float64Array,
  bound: Float64Array,
  channels: number,
  format: Required<BfpFormat>,
  output: ArrayLike<number>,
): number[] {
  const wrong: number[] = [];
  const depth = channels / format.groups;
  for (let pixel = 0; pixel < reference.length; pixel += channels) {
    for (let group = 0; group < channels; group += depth) {
      for (let start = 0; start < depth; start += format.blockSize) {
        const first = pixel + group + start;
        const length = Math.min(format.blockSize, depth - start);
        wrong.push(...new BfpIntervals(reference, bound, first, length, format.bits).mismatches(output));
      }
    }
  }
  return wrong;
}
