import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { launchReduce } from '../src/kernels/reduce.js';
import {
  addressOf,
  type Dtype,
  expectAsOnCpu,
  launched,
  randomValues,
  shapes,
  type Tolerance,
  tensorOf,
  type Values,
} from './support/against-cpu.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

type Reduction = (x: tf.Tensor, axis: number[], keepDims: boolean) => tf.Tensor;

interface Case {
  run: Reduction;
  dtypes: readonly Dtype[];
  tolerance?: Tolerance;
}

const ALL = ['float32', 'int32', 'bool'] as const;
/** Sums in another order, of numbers up to 8. */
const SUMS: Tolerance = { ulps: 4, absolute: 1e-4 };

const REDUCTIONS: Record<string, Case> = {
  sum: { run: tf.sum, dtypes: ALL, tolerance: SUMS },
  mean: { run: tf.mean, dtypes: ALL, tolerance: { ulps: 4, absolute: 1e-5 } },
  prod: {
    run: (x, axis, keepDims) => tf.prod(x, axis, keepDims),
    dtypes: ['float32', 'bool'],
    tolerance: { ulps: 60 },
  },
  max: { run: tf.max, dtypes: ALL },
  min: { run: tf.min, dtypes: ALL },
  all: { run: tf.all, dtypes: ['bool'] },
  any: { run: tf.any, dtypes: ['bool'] },
};

/** A shape and some of its axes. */
const shapesAndAxes = (least: number) =>
  shapes(5, least, 4)
    .filter((shape) => shape.length > 0)
    .chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.subarray(
          shape.map((_, axis) => axis),
          { minLength: 1 },
        ),
        fc.boolean(),
      ),
    );

describe('reductions', () => {
  for (const [name, { run, dtypes, tolerance }] of Object.entries(REDUCTIONS)) {
    for (const dtype of dtypes) {
      it(`${name} of ${dtype} along any axes`, async () => {
        await fc.assert(
          fc.asyncProperty(
            shapesAndAxes(name === 'max' || name === 'min' ? 1 : 0).chain(([shape, axes, keepDims]) =>
              fc.tuple(tensorOf(shape, dtype, false), fc.constant(axes), fc.constant(keepDims)),
            ),
            ([x, axes, keepDims]) => expectAsOnCpu((tensor) => run(tensor, axes, keepDims), [x], tolerance),
          ),
          { numRuns: 12 },
        );
      });
    }
  }

  it('of nothing are what the CPU says', async () => {
    for (const run of [tf.max, tf.min, tf.sum, tf.prod] as unknown as Reduction[]) {
      for (const dtype of ['float32', 'int32'] as const) {
        await expectAsOnCpu((x) => run(x, [1], false), [{ shape: [2, 0, 3], dtype, values: [] }]);
      }
    }
  });

  it('in all layouts of lanes, and in parts', async () => {
    for (const [shape, axes] of [
      [[3, 5000], [1]],
      [[5000], [0]],
      [[2, 3000, 3], [1]],
      [[2500, 40], [0]],
      [[7, 4, 300], [1]],
      [[300, 2], [1]],
      [[1, 1], [1]],
      [
        [2, 60, 3, 50],
        [1, 3],
      ],
    ] as const) {
      const x = randomValues(shape, 'float32');
      const count = x.values.length;
      await expectAsOnCpu((tensor) => tf.sum(tensor, [...axes]), [x], {
        absolute: 2e-6 * Math.sqrt(count) + 1e-4,
      });
      const whole = randomValues(shape, 'int32');
      for (const run of [tf.sum, tf.max, tf.min])
        await expectAsOnCpu((tensor) => run(tensor, [...axes]), [whole]);
      await expectAsOnCpu((tensor) => tf.max(tensor, [...axes]), [x]);
    }
  });

  it('sums of whole numbers wrap', () => {
    const x = tf.tensor1d([2147483647, 1, -2147483648, -5], 'int32');
    expect(tf.sum(x).dataSync()[0]).toBe(-5);
    expect(tf.sum(tf.slice(x, 0, 2)).dataSync()[0]).toBe(-2147483648);
    expect(tf.prod(tf.tensor1d([65536, 65536, 3], 'int32')).dataSync()[0]).toBe(0);
  });

  it('let NaN through, wherever it is', async () => {
    for (const place of [0, 1, 300, 4999]) {
      const x = randomValues([5000], 'float32');
      const values = x.values.map((value, n) => (n === place ? Number.NaN : value));
      for (const run of [tf.max, tf.min, tf.sum, tf.mean, tf.prod]) {
        await expectAsOnCpu((tensor) => run(tensor), [{ ...x, values }]);
      }
    }
  });

  it('give the same sums every time', () => {
    const x = tf.tensor1d([...randomValues([50_000], 'float32').values]);
    const sums = [1, 2, 3].map(() => tf.sum(x).dataSync()[0]);
    expect(new Set(sums).size).toBe(1);
  });

  it('a mean divides by what a plan says', () => {
    const x = addressOf(tf.ones([2, 6, 3]));
    const found = launched([2, 3], (y) =>
      launchReduce(cuda(), { operation: 'mean', x, y, outer: 2, n: 6, inner: 3, divisor: 12 }),
    );
    expect([...found]).toEqual(new Array(6).fill(0.5));
  });
});

describe('places of extremes', () => {
  for (const run of [tf.argMax, tf.argMin]) {
    for (const dtype of ALL) {
      it(`${run.name} of ${dtype}`, async () => {
        await fc.assert(
          fc.asyncProperty(
            shapes(4, 1)
              .filter((shape) => shape.length > 0)
              .chain((shape) => fc.tuple(tensorOf(shape, dtype), fc.nat({ max: shape.length - 1 }))),
            ([x, axis]) => expectAsOnCpu((tensor) => run(tensor, axis), [x]),
          ),
          { numRuns: 15 },
        );
      });
    }
    it(`${run.name} in parts, the first of equals`, async () => {
      for (const [shape, axis] of [
        [[5000], 0],
        [[2, 4000, 3], 1],
      ] as const) {
        const drawn = randomValues(shape, 'int32', 7);
        const values = drawn.values.map((value) => Math.trunc(value / 300));
        for (const dtype of ['int32', 'float32'] as const) {
          await expectAsOnCpu((tensor) => run(tensor, axis), [{ shape, dtype, values }]);
        }
      }
    });
    it(`${run.name} where numbers are missing`, async () => {
      const { NaN: no, POSITIVE_INFINITY: most, NEGATIVE_INFINITY: least } = Number;
      for (const values of [
        [no, 1, 2],
        [1, no, 2],
        [no, no],
        [most, most],
        [least, least],
        [0, no, -0],
      ]) {
        await expectAsOnCpu((x) => run(x, 0), [{ shape: [values.length], dtype: 'float32', values }]);
      }
    });
  }
});

describe('softmax', () => {
  const close: Tolerance = { ulps: 8, absolute: 1e-7 };

  it('of rows', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes(3, 0, 12)
          .filter((shape) => shape.length > 0)
          .chain((shape) => tensorOf(shape, 'float32')),
        (x) => expectAsOnCpu((tensor) => tf.softmax(tensor), [x], close),
      ),
      { numRuns: 15 },
    );
    for (const shape of [
      [3, 1000],
      [2, 3000],
      [70, 3],
      [5, 33],
    ]) {
      await expectAsOnCpu((x) => tf.softmax(x), [randomValues(shape, 'float32')], close);
      await expectAsOnCpu((x) => tf.logSoftmax(x), [randomValues(shape, 'float32')], {
        ulps: 8,
        absolute: 2e-6,
      });
    }
  });

  it('of large and endless logits', async () => {
    const { NaN: no, POSITIVE_INFINITY: most, NEGATIVE_INFINITY: least } = Number;
    for (const values of [
      [1000, 1001],
      [-1e30, 1e30],
      [least, 0],
      [least, least],
      [most, 0],
      [no, 0, 1],
    ]) {
      await expectAsOnCpu(
        (x) => tf.softmax(x),
        [{ shape: [1, values.length], dtype: 'float32', values }],
        close,
      );
    }
  });
});

describe('running sums', () => {
  const variants = [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ] as const;

  it('along any axis, in the order of the CPU', async () => {
    for (const dtype of ALL) {
      await fc.assert(
        fc.asyncProperty(
          shapes(4, 0)
            .filter((shape) => shape.length > 0)
            .chain((shape) =>
              fc.tuple(
                tensorOf(shape, dtype, false),
                fc.nat({ max: shape.length - 1 }),
                fc.constantFrom(...variants),
              ),
            ),
          ([x, axis, [exclusive, reverse]]) =>
            expectAsOnCpu((tensor) => tf.cumsum(tensor, axis, exclusive, reverse), [x]),
        ),
        { numRuns: 12 },
      );
    }
  });

  it('of long lines', async () => {
    for (const [shape, axis] of [
      [[2, 1000], 1],
      [[700, 3], 0],
      [[257], 0],
    ] as const) {
      for (const [exclusive, reverse] of variants) {
        const run = (x: tf.Tensor) => tf.cumsum(x, axis, exclusive, reverse);
        await expectAsOnCpu(run, [randomValues(shape, 'int32')]);
        await expectAsOnCpu(run, [randomValues(shape, 'float32')], { absolute: 1e-4 });
      }
    }
  });
});

describe('the largest of rows', () => {
  const topK = (k: number) => (x: tf.Tensor) => {
    const { values, indices } = tf.topk(x, k);
    return [values, indices];
  };

  it('come in order, the first of equals first', async () => {
    for (const dtype of ALL) {
      await fc.assert(
        fc.asyncProperty(
          shapes(3, 1, 9)
            .filter((shape) => shape.length > 0)
            .chain((shape) =>
              fc.tuple(tensorOf(shape, dtype, false), fc.integer({ min: 0, max: shape.at(-1)! })),
            ),
          ([x, k]) => expectAsOnCpu(topK(k), [x]),
        ),
        { numRuns: 15 },
      );
    }
  });

  it('of long rows, piece by piece', async () => {
    for (const [length, k] of [
      [1000, 5],
      [4096, 4096],
      [5000, 1],
      [9001, 600],
    ] as const) {
      const drawn: Values = randomValues([2, length], 'int32', length);
      await expectAsOnCpu(topK(k), [drawn]);
    }
    // Every piece beats the one before it.
    const rising = Array.from({ length: 6000 }, (_, n) => n);
    await expectAsOnCpu(topK(3), [{ shape: [6000], dtype: 'float32', values: rising }]);
  });

  it('go to the CPU where there are too many', () => {
    const x = tf.tensor1d([...randomValues([5000], 'float32').values]);
    const { values } = tf.topk(x, 3000);
    const sorted = Float32Array.from(x.dataSync()).sort().reverse();
    expect(values.dataSync()).toEqual(sorted.slice(0, 3000));
  });

  it('have infinities and both zeros in their places', async () => {
    const { POSITIVE_INFINITY: most, NEGATIVE_INFINITY: least } = Number;
    await expectAsOnCpu(topK(6), [{ shape: [6], dtype: 'float32', values: [-0, least, 0, most, -1, -0] }]);
  });
});
