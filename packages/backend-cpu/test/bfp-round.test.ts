/** The operator `bfpRound` on every tier, and made of stock operators on TensorFlow.js's own backend, against NUMERICS §3 and §6. */
import { type BfpFormat, bfpRound, InvalidArgumentError, quantizeBfp, roundToBfp } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TIER_BACKENDS } from './tiers.js';

/** Formats with values next to powers of two, where logarithms err, and to the clamp, zeros and blocks too small to count. */
const cases = fc
  .record({
    bits: fc.integer({ min: 2, max: 8 }),
    blockSize: fc.integer({ min: 1, max: 40 }),
    groups: fc.integer({ min: 1, max: 3 }),
    depth: fc.integer({ min: 1, max: 70 }),
    pixels: fc.integer({ min: 1, max: 5 }),
    special: fc.constantFrom('none', 'tiny', 'zero', 'powers', 'clamp'),
    seed: fc.integer(),
  })
  .map(({ bits, blockSize, groups, depth, pixels, special, seed }) => {
    const channels = groups * depth;
    let state = seed >>> 0 || 1;
    const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const value = (): number => {
      const plain = (random() - 0.5) * 2 ** Math.floor(random() * 12 - 6);
      if (special === 'tiny') return plain * 2 ** -98;
      if (special === 'zero') return random() < 0.9 ? 0 : plain;
      if (special === 'powers')
        return 2 ** Math.floor(random() * 40 - 20) * (1 - (random() < 0.5 ? 2 ** -24 : 0));
      if (special === 'clamp') return 2 - 2 ** (1 - bits) + (random() - 0.5) * 2 ** -6;
      return plain;
    };
    const x = Float32Array.from({ length: pixels * channels }, value);
    const dy = Float32Array.from({ length: x.length }, () => random() + 1);
    return { format: { bits, blockSize, groups } satisfies BfpFormat, channels, pixels, x, dy };
  });

/** The gradient by its definition: is the rounded mantissa, before the clamp, within the range? */
function gradient(
  x: Float32Array,
  dy: Float32Array,
  channels: number,
  format: Required<BfpFormat>,
): Float32Array {
  const { scale, blocksPerGroup } = quantizeBfp(x, channels, format);
  const limit = 2 ** (format.bits - 1) - 1;
  const depth = channels / format.groups;
  return dy.map((d, i) => {
    const row = Math.floor(i / depth);
    const s = scale[row * blocksPerGroup + Math.floor((i % depth) / format.blockSize)]!;
    if (s === 0) return d;
    const quotient = x[i]! / s;
    const whole = Math.floor(quotient);
    const fraction = quotient - whole;
    const nearest = fraction > 0.5 || (fraction === 0.5 && whole % 2 !== 0) ? whole + 1 : whole;
    return Math.abs(nearest) <= limit ? d : 0;
  });
}

describe.each(['cpu', ...TIER_BACKENDS])('bfpRound on %s', (backend) => {
  test('rounds to the grid, and lets gradients through where the clamp does nothing', async () => {
    await tf.setBackend(backend);
    fc.assert(
      fc.property(cases, ({ format, channels, pixels, x, dy }) => {
        tf.tidy(() => {
          const input = tf.tensor(x, [pixels, channels]);
          const grad = tf.grad((t) => bfpRound(t, format))(input, tf.tensor(dy, [pixels, channels]));
          expect(bfpRound(input, format).dataSync()).toEqual(roundToBfp(x, channels, format));
          expect(grad.dataSync()).toEqual(gradient(x, dy, channels, format));
          expect(input.dataSync()).toEqual(x);
        });
      }),
      { numRuns: 150 },
    );
  });

  test('a block with a number that is not finite is NaN, its neighbours are not', async () => {
    await tf.setBackend(backend);
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const y = tf.tidy(() => bfpRound(tf.tensor([[1, bad, 2, 3]]), { bits: 8, blockSize: 2 }).dataSync());
      expect([...y]).toEqual([Number.NaN, Number.NaN, 2, 3]);
    }
  });

  test('refuses what it is not defined for', async () => {
    await tf.setBackend(backend);
    const x = tf.ones([2, 6]);
    expect(() => bfpRound(x, { bits: 9, blockSize: 4 })).toThrow(InvalidArgumentError);
    expect(() => bfpRound(x, { bits: 8, blockSize: 4, groups: 4 })).toThrow(InvalidArgumentError);
    expect(() => bfpRound(tf.cast(x, 'int32'), { bits: 8, blockSize: 4 })).toThrow(/int32/);
    expect(() => bfpRound(tf.scalar(1), { bits: 8, blockSize: 4 })).toThrow(/channels as its last axis/);
    x.dispose();
  });
});
