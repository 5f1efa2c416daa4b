/** Tiles, tails and shared depths of float products: every way to launch one gives the same integers. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NO_EPILOGUE } from '../src/kernels/conv2d-epilogue.js';
import { launchMatMul } from '../src/kernels/mat-mul.js';
import type { TilingChoice } from '../src/kernels/mat-mul-tiles.js';
import { cuda, onCuda } from './support/cuda.js';
import { addressOf, integers, odd, onCpu, random, written } from './support/float-court.js';

onCuda();

interface Sizes {
  m: number;
  n: number;
  k: number;
  batch: number;
  transposeA: boolean;
  transposeB: boolean;
}

const stack = ({ batch, m, n, k, transposeA, transposeB }: Sizes) => ({
  a: transposeA ? [batch, k, m] : [batch, m, k],
  b: transposeB ? [batch, n, k] : [batch, k, n],
});

function product(sizes: Sizes, given: { a: number; b: number }, choice: TilingChoice): Float32Array {
  const { m, n, k, batch, transposeA, transposeB } = sizes;
  return written([batch, m, n], (y) =>
    launchMatMul(cuda(), {
      ...given,
      y,
      m,
      n,
      k,
      transposeA,
      transposeB,
      batch: { shape: [batch], aSteps: [1], bSteps: [1] },
      epilogue: NO_EPILOGUE,
      choice,
    }),
  );
}

/** Each way, against the CPU. */
async function check(sizes: Sizes, choices: TilingChoice[], seed: number): Promise<void> {
  const shapes = stack(sizes);
  const [a, b] = [integers(shapes.a, seed), integers(shapes.b, seed + 1)];
  const wanted = await onCpu((x, y) => tf.matMul(x!, y!, sizes.transposeA, sizes.transposeB), [a, b]);
  tf.tidy(() => {
    const given = { a: addressOf(a), b: addressOf(b) };
    for (const choice of choices) {
      expect(product(sizes, given, choice), JSON.stringify({ sizes, choice })).toEqual(wanted.values);
    }
  });
}

const side = (most: number) => fc.integer({ min: 1, max: most });

test('of sizes in fours, wide and small tiles and any number of shares', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        m: side(36).map((size) => 4 * size),
        n: side(36).map((size) => 4 * size),
        k: side(14).map((size) => 4 * size),
        batch: side(2),
        transposeA: fc.boolean(),
        transposeB: fc.boolean(),
      }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 1e6 }),
      (sizes, splits, seed) =>
        check(
          sizes,
          [
            { tile: 'wide', splits: 1 },
            { tile: 'small', splits },
            { tile: 'any', splits: 1 },
            { tile: 'naive' },
          ],
          seed,
        ),
    ),
    { numRuns: 25 },
  );
});

test('of any sizes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        m: side(70),
        n: side(70),
        k: side(41),
        batch: side(3),
        transposeA: fc.boolean(),
        transposeB: fc.boolean(),
      }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 1e6 }),
      (sizes, splits, seed) => check(sizes, [{ tile: 'any', splits }, {}], seed),
    ),
    { numRuns: 25 },
  );
});

test('at the edges of tiles and steps', async () => {
  for (const [m, n, k] of [
    [64, 64, 8],
    [68, 64, 16],
    [128, 132, 12],
    [60, 4, 4],
    [132, 128, 24],
  ] as const) {
    const sizes = { m, n, k, batch: 1, transposeA: false, transposeB: false };
    await check(
      sizes,
      [{ tile: 'wide' }, { tile: 'wide', splits: 2 }, { tile: 'small' }, { tile: 'small', splits: 3 }],
      m * n,
    );
  }
});

test('bit for bit the same every time, however the depth is shared', async () => {
  const sizes = { m: 60, n: 72, k: 400, batch: 1, transposeA: false, transposeB: true };
  const shapes = stack(sizes);
  tf.tidy(() => {
    const given = { a: addressOf(random(shapes.a, 1)), b: addressOf(random(shapes.b, 2)) };
    for (const splits of [1, 7]) {
      const first = product(sizes, given, { tile: 'small', splits });
      expect(product(sizes, given, { tile: 'small', splits })).toEqual(first);
    }
  });
});

test('what is not finite goes where it belongs, and nowhere else', async () => {
  const sizes = { m: 68, n: 72, k: 20, batch: 1, transposeA: false, transposeB: false };
  const shapes = stack(sizes);
  const [a, b] = [odd(integers(shapes.a, 3), 4, 0.01), odd(integers(shapes.b, 5), 6, 0.01)];
  const wanted = await onCpu((x, y) => tf.matMul(x!, y!), [a, b]);
  tf.tidy(() => {
    const given = { a: addressOf(a), b: addressOf(b) };
    for (const tile of ['wide', 'small', 'any', 'naive'] as const) {
      expect(product(sizes, given, { tile, splits: 2 })).toEqual(wanted.values);
    }
  });
});
