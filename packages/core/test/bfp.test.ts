import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BfpFormat, InvalidArgumentError, quantizeBfp, roundToBfp } from '../src/index.js';

/** A format and one to three pixels of numbers within `2^-low … 2^high`. */
function tensors(low: number, high: number) {
  const value = fc.oneof(
    fc.float({ noNaN: true, min: Math.fround(-(2 ** high)), max: Math.fround(2 ** high) }),
    fc.float({ noNaN: true, min: Math.fround(-(2 ** low)), max: Math.fround(2 ** low) }),
    fc.constant(0),
  );
  const format = fc.record({
    bits: fc.integer({ min: 2, max: 8 }),
    blockSize: fc.integer({ min: 1, max: 9 }),
    groups: fc.integer({ min: 1, max: 3 }),
  });
  return fc
    .tuple(format, fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 3 }))
    .chain(([chosen, depth, pixels]) => {
      const channels = depth * chosen.groups;
      const length = channels * pixels;
      return fc.tuple(
        fc.constant(chosen),
        fc.constant(channels),
        fc.array(value, { minLength: length, maxLength: length }).map((values) => Float32Array.from(values)),
      );
    });
}

/** Index of the scale of element `i`. */
function scaleIndex(i: number, channels: number, { blockSize, groups = 1 }: BfpFormat): number {
  const depth = channels / groups;
  const channel = i % channels;
  const group = Math.floor(channel / depth);
  const perGroup = Math.ceil(depth / blockSize);
  return (Math.floor(i / channels) * groups + group) * perGroup + Math.floor((channel % depth) / blockSize);
}

const quantizeOne = (values: number[], bits = 8) =>
  quantizeBfp(Float32Array.from(values), values.length, { bits, blockSize: values.length });

describe('block floating point', () => {
  it('quantizes a block by hand', () => {
    // E = 2, scale = 2^(2-6) = 1/16: 5.03 * 16 = 80.48, -7.99 * 16 = -127.84 → clamp, 0.15625 * 16 = 2.5 → 2, 0.21875 * 16 = 3.5 → 4.
    const { mantissa, scale } = quantizeOne([5.03, -7.99, 0.15625, 0.21875]);
    expect([...mantissa]).toEqual([80, -127, 2, 4]);
    expect([...scale]).toEqual([1 / 16]);
  });

  it('keeps the clamp symmetric', () => {
    expect([...quantizeOne([-1.999, 1.999]).mantissa]).toEqual([-127, 127]);
    expect([...quantizeOne([-1.999, 1.999, 0.6], 2).mantissa]).toEqual([-1, 1, 1]);
  });

  it('takes the exponent from the bits, just below a power of two too', () => {
    expect([...quantizeOne([8 * (1 - 2 ** -24)]).scale]).toEqual([2 ** -4]);
    expect([...quantizeOne([8]).scale]).toEqual([2 ** -3]);
    expect([...quantizeOne([2 ** 127]).scale]).toEqual([2 ** 121]);
  });

  it('is idempotent to the bit', () => {
    fc.assert(
      fc.property(tensors(-120, 120), ([format, channels, x]) => {
        const once = roundToBfp(x, channels, format);
        expect(roundToBfp(once, channels, format)).toEqual(once);
      }),
    );
  });

  it('scales exactly with powers of two', () => {
    fc.assert(
      fc.property(tensors(-20, 20), fc.integer({ min: -40, max: 40 }), ([format, channels, x], exponent) => {
        // Numbers so small that scaling makes them subnormal or their block zero are not meant.
        fc.pre(x.every((value) => value === 0 || Math.abs(value) > 2 ** -50));
        const scaled = roundToBfp(
          x.map((value) => value * 2 ** exponent),
          channels,
          format,
        );
        expect(scaled).toEqual(roundToBfp(x, channels, format).map((value) => value * 2 ** exponent));
      }),
    );
  });

  it('errs by half a step at most, except at the clamp', () => {
    fc.assert(
      fc.property(tensors(-30, 30), ([format, channels, x]) => {
        const { mantissa, scale } = quantizeBfp(x, channels, format);
        const limit = 2 ** (format.bits - 1) - 1;
        for (const [i, value] of x.entries()) {
          const step = scale[scaleIndex(i, channels, format)]!;
          const m = mantissa[i]!;
          expect(Math.abs(m)).toBeLessThanOrEqual(limit);
          if (step === 0) {
            expect([m, Math.abs(value) < 2 ** -100]).toEqual([0, true]);
            continue;
          }
          const error = Math.abs(value - m * step);
          const clamped = Math.abs(m) === limit && Math.abs(value) > limit * step;
          expect(error).toBeLessThanOrEqual(clamped ? step : step / 2);
        }
      }),
    );
  });

  it('counts zero and everything below 2^-100 as zero', () => {
    expect(quantizeOne([0, -0])).toMatchObject({ mantissa: Int8Array.of(0, 0), scale: Float32Array.of(0) });
    expect([...quantizeOne([2 ** -101, -(2 ** -149)]).scale]).toEqual([0]);
    expect([...quantizeOne([2 ** -101 * (2 - 2 ** -23)]).scale]).toEqual([0]);
    expect([...quantizeOne([2 ** -100]).scale]).toEqual([2 ** -106]);
    expect([...quantizeOne([2 ** -100]).mantissa]).toEqual([64]);
  });

  it('turns a block with NaN or infinity into NaN and leaves the others alone', () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const x = Float32Array.of(1, bad, 2, 3, 4, 5);
      expect([...roundToBfp(x, 3, { bits: 8, blockSize: 2 })]).toEqual([NaN, NaN, 2, 3, 4, 5]);
    }
  });

  it('cuts blocks per group and leaves the last one short', () => {
    // Two groups of three channels, blocks of two: [0 1] [2] | [3 4] [5].
    const x = Float32Array.of(1, 2, 4, 8, 16, 32);
    const { scale, blocksPerGroup } = quantizeBfp(x, 6, { bits: 8, blockSize: 2, groups: 2 });
    expect(blocksPerGroup).toBe(2);
    expect([...scale].map((value) => value * 64)).toEqual([2, 4, 16, 32]);
  });

  it('does not write to its input', () => {
    const x = Float32Array.of(1.234, -5.678);
    roundToBfp(x, 2, { bits: 3, blockSize: 1 });
    expect([...x]).toEqual([...Float32Array.of(1.234, -5.678)]);
  });

  it('refuses formats that make no sense', () => {
    const call = (format: BfpFormat) => () => quantizeBfp(new Float32Array(6), 6, format);
    expect(call({ bits: 9, blockSize: 2 })).toThrow(
      new InvalidArgumentError('format.bits is 9; expected an integer from 2 to 8'),
    );
    expect(call({ bits: 8, blockSize: 0 })).toThrow('format.blockSize is 0; expected a positive integer');
    expect(call({ bits: 8, blockSize: 2, groups: 4 })).toThrow(
      'format.groups is 4; expected a positive integer that divides 6 channels',
    );
  });
});
