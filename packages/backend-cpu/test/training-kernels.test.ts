/** Kernels that training uses, against float64 or TensorFlow.js's own CPU backend. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { setThreads } from '@dsconv/backend-cpu';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { values } from './compare.js';
import { ENGINE_BACKENDS } from './tiers.js';

const shapes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Runs a function on TensorFlow.js's backend and on ours. */
async function both(
  backend: string,
  f: () => tf.Tensor,
): Promise<[Float32Array, Float32Array, number[], number[]]> {
  await tf.setBackend('cpu');
  const expected = tf.tidy(f);
  const [values, shape] = [(await expected.data()) as Float32Array, expected.shape];
  expected.dispose();
  await tf.setBackend(backend);
  const found = tf.tidy(f);
  const result: [Float32Array, Float32Array, number[], number[]] = [
    (await found.data()) as Float32Array,
    values,
    found.shape,
    shape,
  ];
  found.dispose();
  return result;
}

describe.each(ENGINE_BACKENDS)('%s', (backend) => {
  test('sums and means along any axes', async () => {
    await tf.setBackend(backend);
    fc.assert(
      fc.property(
        shapes,
        fc.integer({ min: 1, max: 31 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 1e6 }),
        (shape, mask, keepDims, seed) => {
          const axes = shape.map((_, n) => n).filter((n) => (mask >> n) & 1);
          if (axes.length === 0) axes.push(0);
          const data = values(sizeOf(shape), seed);
          const kept = shape.filter((_, n) => !axes.includes(n));
          const sums = new Float64Array(sizeOf(kept));
          const magnitudes = new Float64Array(sums.length);
          data.forEach((value, i) => {
            let rest = i;
            let at = 0;
            let step = 1;
            for (let n = shape.length - 1; n >= 0; n--) {
              const place = rest % shape[n]!;
              rest = Math.floor(rest / shape[n]!);
              if (axes.includes(n)) continue;
              at += place * step;
              step *= shape[n]!;
            }
            sums[at]! += value;
            magnitudes[at]! += Math.abs(value);
          });
          const count = data.length / sums.length;
          tf.tidy(() => {
            const x = tf.tensor(data, shape);
            const wanted = keepDims ? shape.map((size, n) => (axes.includes(n) ? 1 : size)) : kept;
            for (const [y, divisor] of [
              [tf.sum(x, axes, keepDims), 1],
              [tf.mean(x, axes, keepDims), count],
            ] as const) {
              expect(y.shape).toEqual(wanted);
              y.dataSync().forEach((value, n) => {
                expect(Math.abs(value - sums[n]! / divisor)).toBeLessThanOrEqual(
                  (count * 2 ** -23 * magnitudes[n]!) / divisor,
                );
              });
            }
          });
        },
      ),
      { numRuns: 100 },
    );
  });

  test('slices and paddings', async () => {
    await tf.setBackend(backend);
    const boxes = shapes.chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.tuple(...shape.map((size) => fc.integer({ min: 0, max: size - 1 }))),
        fc.array(fc.integer({ min: 0, max: 3 }), {
          minLength: 2 * shape.length,
          maxLength: 2 * shape.length,
        }),
        fc.constantFrom(0, 0, 1.5),
      ),
    );
    await fc.assert(
      fc.asyncProperty(boxes, async ([shape, begin, pads, value]) => {
        const data = values(sizeOf(shape), 3);
        const size = begin.map((from, n) => Math.max(1, shape[n]! - from - (pads[n]! % 2)));
        const paddings = shape.map((_, n) => [pads[2 * n]!, pads[2 * n + 1]!] as [number, number]);
        for (const f of [
          () => tf.slice(tf.tensor(data, shape), [...begin], size),
          () => tf.pad(tf.tensor(data, shape), paddings, value),
        ]) {
          const [found, expected, foundShape, expectedShape] = await both(backend, f);
          expect(foundShape).toEqual(expectedShape);
          expect(found).toEqual(expected);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('element-wise functions', async () => {
    const special = Float32Array.from([
      0,
      -0,
      1,
      -1,
      4,
      -4,
      1e-30,
      1e30,
      Infinity,
      -Infinity,
      Number.NaN,
      ...values(100, 9),
    ]);
    for (const f of [
      tf.square,
      tf.sqrt,
      tf.rsqrt,
      tf.neg,
      (x: tf.Tensor) => tf.step(x),
      (x: tf.Tensor) => tf.step(x, 0.25),
    ]) {
      const [found, expected] = await both(backend, () => f(tf.tensor1d(special)));
      found.forEach((value, n) => {
        const wanted = expected[n]!;
        if (Number.isNaN(wanted)) expect(value).toBeNaN();
        else if (!Number.isFinite(wanted)) expect(value).toBe(wanted);
        else expect(Math.abs(value - wanted)).toBeLessThanOrEqual(2 ** -22 * Math.abs(wanted));
      });
    }
  });

  test('gradients of pools are those of finite differences', async () => {
    await tf.setBackend(backend);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom('same' as const, 'valid' as const),
        fc.integer({ min: 3, max: 6 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 1e6 }),
        (window, strides, pad, side, channels, seed) => {
          const shape: [number, number, number, number] = [2, side, side, channels];
          // All different, by more than the step of the differences.

          const noise = values(sizeOf(shape), seed);
          const places = [...noise.keys()].sort((a, b) => noise[a]! - noise[b]!);
          const data = Float32Array.from(places, (n) => n / 64);
          // TensorFlow.js's own gradient of a mean counts the border's padding, which its mean does not.
          const known = pad === 'valid' || backend.endsWith('/native');
          for (const pool of known ? [tf.maxPool, tf.avgPool] : [tf.maxPool]) {
            tf.tidy(() => {
              const x = tf.tensor4d(data, shape);
              const y = pool(x, window, strides, pad);
              const dy = tf.tensor4d(values(y.size, seed + 1), y.shape);
              const dx = tf
                .grad((t) => pool(t as tf.Tensor4D, window, strides, pad))(x, dy)
                .dataSync();
              const loss = (at: number, change: number): number => {
                const moved = data.slice();
                moved[at]! += change;
                const out = pool(tf.tensor4d(moved, shape), window, strides, pad).dataSync() as Float32Array;
                const d = dy.dataSync();
                return out.reduce((sum, value, n) => sum + value * d[n]!, 0);
              };
              for (let n = 0; n < 6; n++) {
                const at = (seed * 31 + n * 7919) % data.length;
                const difference = (loss(at, 1 / 256) - loss(at, -1 / 256)) * 128;
                expect(Math.abs(dx[at]! - difference)).toBeLessThanOrEqual(2e-2);
              }
            });
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test('comparisons of equal shapes, of numbers, of what broadcasts, with NaN and infinities', async () => {
    const operations = [tf.less, tf.lessEqual, tf.greater, tf.greaterEqual, tf.equal];
    const special = [Number.NaN, Infinity, -Infinity, 0, -0, 0.5];
    // Few values, so that many are equal.
    const some = (shape: number[], seed: number): tf.Tensor =>
      tf.tensor(
        values(sizeOf(shape), seed).map((value) =>
          Math.abs(value) > 0.7 ? special[Math.floor(Math.abs(value) * 1e4) % 6]! : Math.round(value * 3),
        ),
        shape,
      );
    const wide = [3, 1, 4];
    for (const [n, operation] of operations.entries()) {
      for (const [a, b] of [
        [
          [3, 5, 4],
          [3, 5, 4],
        ],
        [[3, 5, 4], []],
        [[], [3, 5, 4]],
        [[7], [1]],
        [[1], [2, 1]],
        [[], []],
        [[3, 5, 4], wide],
        [[0, 4], []],
      ] as number[][][]) {
        const [found, wanted, shape, wantedShape] = await both(backend, () =>
          operation(some(a!, 3 + n), some(b!, 77 + n)),
        );
        expect({ shape, values: [...found] }, `${operation.name} of [${a}] and [${b}]`).toEqual({
          shape: wantedShape,
          values: [...wanted],
        });
        expect(found).toBeInstanceOf(Uint8Array);
      }
    }
  });
});

const native = ENGINE_BACKENDS.find((name) => name.endsWith('/native'));

test.skipIf(!native)('sums do not depend on the number of threads', async () => {
  await tf.setBackend(native!);
  const x = tf.tensor(values(40_000 * 24, 5), [40_000, 24]);
  const results = [];
  for (const threads of [1, 2, 3]) {
    await setThreads(threads);
    results.push(tf.tidy(() => tf.sum(x, 0).dataSync().slice()));
  }
  await setThreads(1);
  x.dispose();
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});
