/** Converted outputs against the original's: what folding changed, which must be rounding only, and what quantizing changed, which is reported. */
import { DSConvError } from '@dsconv/core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { signalToNoise } from '../signal-to-noise.js';

/** How one output came out. */
export interface OutputComparison {
  name: string;
  shape: readonly number[];
  /** `10 log10(Σy² / Σ(y-ŷ)²)`, dB; null where both are equal. */
  snrDb: number | null;
  largestDifference: number;
}

/** The converted model computes something else than the original. No file is written. */
export class ComparisonError extends DSConvError {
  constructor(message: string) {
    super('COMPARISON', message);
  }
}

/** What only reorders float operations agrees better than this, dB; less is a mistake, not rounding. */
export const LEAST_FLOAT_SNR = 60;

/** Compares values by place. Booleans and integers count as numbers. @throws ComparisonError when a shape differs or a NaN is new */
export async function compareOutputs(
  names: readonly string[],
  expected: readonly Tensor[],
  found: readonly Tensor[],
): Promise<OutputComparison[]> {
  const comparisons: OutputComparison[] = [];
  for (const [n, name] of names.entries()) {
    const [wanted, got] = [expected[n]!, found[n]!];
    if (wanted.shape.join() !== got.shape.join()) {
      throw new ComparisonError(
        `output '${name}' has shape [${got.shape}] after conversion; expected [${wanted.shape}]`,
      );
    }
    comparisons.push(compareValues(name, wanted.shape, await floats(wanted), await floats(got)));
  }
  return comparisons;
}

async function floats(tensor: Tensor): Promise<Float32Array> {
  return Float32Array.from(await tensor.data());
}

/** @throws ComparisonError when a value is NaN or infinite that was not */
export function compareValues(
  name: string,
  shape: readonly number[],
  wanted: Float32Array,
  got: Float32Array,
): OutputComparison {
  let largestDifference = 0;
  for (let i = 0; i < wanted.length; i++) {
    const [a, b] = [wanted[i]!, got[i]!];
    if (Object.is(a, b) || a === b) continue;
    if (!Number.isFinite(a) || !Number.isFinite(b)) {
      throw new ComparisonError(`output '${name}'[${i}] is ${b} after conversion; expected ${a}`);
    }
    largestDifference = Math.max(largestDifference, Math.abs(a - b));
  }
  if (largestDifference === 0) return { name, shape, snrDb: null, largestDifference };
  const snrDb = signalToNoise(finite(wanted), finite(got));
  return { name, shape, snrDb, largestDifference };
}

/** Infinities and NaNs that both have add nothing. */
function finite(values: Float32Array): Float32Array {
  return values.map((value) => (Number.isFinite(value) ? value : 0));
}
