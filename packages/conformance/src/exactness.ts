/** Proof that an exact case is exact: whatever the order of its sums, no partial sum is ever rounded. */
import { DS_DEPTHWISE_CONV2D, quantizeBfp } from '@dsconv/core';
import type { OperatorCase } from './case.js';
import type { CaseData } from './data.js';

/** A float32 sum of multiples of `unit` is exact in any order while the sum of their sizes stays below this many units. */
const EXACT_UNITS = 2 ** 24;

/**
 * Null when every partial sum is exact, else one sentence. All terms are multiples of a common power of two, the product of the lowest
 * bits of their factors; `magnitude` is `Σ|terms|` per output, from the reference.
 */
export function whyNotExact(c: OperatorCase, data: CaseData, magnitude: Float64Array): string | null {
  const { filter } = data;
  const lowest = (name: 'kds' | 'kdsBias' | 'cds' | 'cdsBias', absent: number) => {
    const values = filter.scales(name);
    return values ? lowestBit(values) : absent;
  };
  const cds = lowest('cds', 1);
  const weight = Math.min(
    cds * lowest('kds', 1) * lowestBit(filter.unpack()),
    cds * lowest('kdsBias', Infinity),
    lowest('cdsBias', Infinity),
  );
  const unit = Math.min(
    activationUnit(c, data) * weight,
    data.bias ? lowestBit(data.bias) : Infinity,
    data.residual ? lowestBit(data.residual) : Infinity,
  );
  let largest = 0;
  for (const value of magnitude) if (value > largest) largest = value;
  // With float activations a backend may apply the shifters to whole sums, whose parts are larger than the sum of x * ŵ.
  const limit = (c.activationBits === null ? EXACT_UNITS / 8 : EXACT_UNITS) * unit;
  if (largest < limit) return null;
  return `the terms of an output add up to ${largest}; expected less than ${limit}, so that sums are exact in any order`;
}

/** Largest power of two of which every activation, as the operator sees it, is a multiple. */
function activationUnit(c: OperatorCase, { x, filter }: CaseData): number {
  if (c.activationBits === null) return lowestBit(x);
  const groups = c.kernel === DS_DEPTHWISE_CONV2D ? 1 : c.groups;
  const format = { bits: c.activationBits, blockSize: filter.blockSize, groups };
  const { mantissa, scale } = quantizeBfp(x, c.inputShape[3], format);
  return lowestBit(mantissa) * lowestBit(scale);
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The smallest power of two among the lowest set bits of the values, zeros and numbers that are not finite left aside. */
export function lowestBit(values: Iterable<number>): number {
  let lowest = Infinity;
  for (const value of values) {
    if (value === 0 || !Number.isFinite(value)) continue;
    float[0] = value;
    const exponent = (word[0]! >>> 23) & 0xff;
    const significand = exponent === 0 ? word[0]! & 0x7fffff : (word[0]! & 0x7fffff) | 0x800000;
    const trailing = 31 - Math.clz32(significand & -significand);
    lowest = Math.min(lowest, 2 ** (Math.max(exponent, 1) - 150 + trailing));
  }
  return lowest;
}
