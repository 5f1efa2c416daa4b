import { roundToBfp } from '@dsconv/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareWith } from '../src/compare.js';
import { lowestBit } from '../src/exactness.js';
import { convolution, expectationOf, makeData } from '../src/index.js';

const plain = convolution('two outputs', { outChannels: 2 });
const on = (reference: number[], bound: number[]) => ({
  reference: Float64Array.from(reference),
  bound: Float64Array.from(bound),
});

describe('comparison without outputFormat', () => {
  it('looks at each output on its own', () => {
    const expectation = on([1, 1000], [0.1, 0]);
    expect(compareWith(plain, expectation, 1, 1, [1.05, 1000])).toBeNull();
    expect(compareWith(plain, expectation, 1, 1, [1.2, 1000])).toMatchObject({
      index: [0, 0, 0, 0],
      failed: 1,
    });
    expect(compareWith(plain, expectation, 1, 1, [1.05, 1000.01])).toMatchObject({ index: [0, 0, 0, 1] });
  });

  it('wants NaN exactly where the reference is NaN', () => {
    const expectation = on([NaN, 1], [NaN, 0]);
    expect(compareWith(plain, expectation, 1, 1, [NaN, 1])).toBeNull();
    expect(compareWith(plain, expectation, 1, 1, [0, 1])).toMatchObject({ failed: 1 });
    expect(compareWith(plain, expectation, 1, 1, [NaN, NaN])).toMatchObject({ index: [0, 0, 0, 1] });
    expect(compareWith(plain, on([1, 1], [1, 1]), 1, 1, [Infinity, 1])).toMatchObject({ failed: 1 });
  });

  it('names positions in a larger output', () => {
    const expectation = on(Array(24).fill(0), Array(24).fill(0));
    const output = Array(24).fill(0);
    output[1 * 12 + 1 * 6 + 2 * 2 + 1] = 5;
    expect(compareWith(plain, expectation, 2, 3, output)?.index).toEqual([1, 1, 2, 1]);
  });
});

describe('comparison with outputFormat', () => {
  // One block of two 4-bit mantissas: steps of 0.25 below 2, of 0.5 from 2 on.
  const grid = { ...plain, outputFormat: { bits: 4, blockSize: 2, groups: 1 } };
  const verdict = (reference: number[], bound: number[], output: number[]) =>
    compareWith(grid, on(reference, bound), 1, 1, output);

  it('allows a step only where the reference is within the bound of a boundary', () => {
    expect(verdict([1.5, 0.624], [0.01, 0.01], [1.5, 0.5])).toBeNull();
    expect(verdict([1.5, 0.624], [0.01, 0.01], [1.5, 0.75])).toBeNull();
    expect(verdict([1.5, 0.6], [0.01, 0.01], [1.5, 0.75])).toMatchObject({ index: [0, 0, 0, 1] });
    expect(verdict([1.5, 0.624], [0.01, 0.01], [1.5, 0.625])).toMatchObject({ failed: 1 });
  });

  it('allows another exponent only where the maximum is within the bound of a power of two', () => {
    expect(verdict([1.999, 0.25], [0.01, 0.01], [1.75, 0.25])).toBeNull();
    expect(verdict([1.999, 0.3], [0.01, 0.01], [2, 0.5])).toBeNull();
    expect(verdict([1.999, 0.3], [0.01, 0.01], [2, 0.25])).not.toBeNull();
    expect(verdict([1.9, 0.3], [0.01, 0.01], [2, 0.5])).not.toBeNull();
  });

  it('wants NaN in the whole block of a NaN, and zeros below 2^-100', () => {
    expect(verdict([NaN, 1], [NaN, 0], [NaN, NaN])).toBeNull();
    expect(verdict([NaN, 1], [NaN, 0], [NaN, 1])).toMatchObject({ index: [0, 0, 0, 1] });
    expect(verdict([2 ** -101, 0], [0, 0], [0, 0])).toBeNull();
    expect(verdict([2 ** -101, 0], [0, 0], [2 ** -101, 0])).not.toBeNull();
  });

  it('accepts the rounding of anything within the bounds and nothing else', () => {
    const value = fc.double({ min: -8, max: 8, noNaN: true });
    const shift = fc.double({ min: -1, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.tuple(value, value),
        fc.tuple(shift, shift),
        fc.double({ min: 0, max: 0.3, noNaN: true }),
        (reference, shifts, bound) => {
          const near = Float32Array.from(reference, (r, n) => r + shifts[n]! * bound * 0.999);
          // Rounding to float32 must not lead out of the bounds.
          fc.pre(near.every((y, n) => Math.abs(y - reference[n]!) <= bound));
          const output = [...roundToBfp(near, 2, grid.outputFormat)];
          expect(verdict([...reference], [bound, bound], output)).toBeNull();
        },
      ),
    );
  });
});

describe('the bound', () => {
  it('follows the number and the size of the terms and the slope of the activation', () => {
    const c = convolution('bounds', {
      inputShape: [1, 1, 1, 4],
      kernelSize: [1, 1],
      outChannels: 1,
      activation: 'leakyrelu',
      leakyreluAlpha: -4,
    });
    const data = makeData(c);
    const linear = expectationOf({ ...c, activation: 'linear' }, data, false);
    const leaky = expectationOf(c, data, false);
    data.filter.dispose();
    // Two terms: one block and the bias.
    const sum = linear.reference[0]!;
    const bias = data.bias![0]!;
    expect(linear.bound[0]).toBe(4 * 2 * 2 ** -24 * (Math.abs(bias) + Math.abs(sum - bias)));
    expect(leaky.bound[0]).toBeCloseTo(4 * linear.bound[0]! + 2 ** -23 * Math.abs(leaky.reference[0]!), 12);
  });
});

describe('lowestBit', () => {
  it('finds the largest power of two that divides all', () => {
    expect(lowestBit([12, 40])).toBe(4);
    expect(lowestBit([0.75, 0, NaN])).toBe(0.25);
    expect(lowestBit([2 ** -149])).toBe(2 ** -149);
    expect(lowestBit([0])).toBe(Infinity);
  });
});
