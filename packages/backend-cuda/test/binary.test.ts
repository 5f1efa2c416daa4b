import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { launchBinary, launchScaleShift, periodAxes } from '../src/kernels/binary.js';
import {
  addressOf,
  type Dtype,
  EDGES,
  expectAsOnCpu,
  launched,
  numberOf,
  type Tolerance,
  tensorOf,
  type Values,
} from './support/against-cpu.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

interface Operator {
  run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;
  dtypes: readonly Dtype[];
  tolerance?: Tolerance;
}

const NUMBERS = ['float32', 'int32'] as const;
const ALL = [...NUMBERS, 'bool'] as const;

const OPERATORS: Record<string, Operator> = {
  add: { run: tf.add, dtypes: ALL },
  sub: { run: tf.sub, dtypes: NUMBERS },
  mul: { run: tf.mul, dtypes: ALL },
  div: { run: tf.div, dtypes: NUMBERS },
  divNoNan: { run: tf.divNoNan, dtypes: NUMBERS },
  floorDiv: { run: tf.floorDiv, dtypes: NUMBERS },
  mod: { run: tf.mod, dtypes: NUMBERS },
  pow: { run: tf.pow, dtypes: ['float32'], tolerance: { ulps: 4, absolute: 1e-43 } },
  maximum: { run: tf.maximum, dtypes: ALL },
  minimum: { run: tf.minimum, dtypes: ALL },
  squaredDifference: { run: tf.squaredDifference, dtypes: NUMBERS, tolerance: { ulps: 2 } },
  atan2: { run: tf.atan2, dtypes: ['float32'], tolerance: { ulps: 3, absolute: 1e-44 } },
  equal: { run: tf.equal, dtypes: ALL },
  notEqual: { run: tf.notEqual, dtypes: ALL },
  less: { run: tf.less, dtypes: ALL },
  lessEqual: { run: tf.lessEqual, dtypes: ALL },
  greater: { run: tf.greater, dtypes: ALL },
  greaterEqual: { run: tf.greaterEqual, dtypes: ALL },
  logicalAnd: { run: tf.logicalAnd, dtypes: ['bool'] },
  logicalOr: { run: tf.logicalOr, dtypes: ['bool'] },
  logicalXor: { run: tf.logicalXor, dtypes: ['bool'] },
  prelu: { run: tf.prelu, dtypes: ['float32'] },
};

/** Two shapes that go together: of one shape, axes of either are 1 or missing. */
const pairs: fc.Arbitrary<[number[], number[]]> = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 })), { maxLength: 6 })
  .chain((axes) =>
    fc.tuple(fc.integer({ min: 0, max: axes.length }), fc.boolean()).map(([missing, left]) => {
      const of = (mine: number) => axes.map(([size, kind]) => (kind === mine ? 1 : size));
      const [a, b] = [of(1), of(2)];
      return left
        ? ([a.slice(missing), b] as [number[], number[]])
        : ([a, b.slice(missing)] as [number[], number[]]);
    }),
  );

describe('operators', () => {
  for (const [name, { run, dtypes, tolerance }] of Object.entries(OPERATORS)) {
    for (const dtype of dtypes) {
      it(`${name} of ${dtype}`, async () => {
        const edges = EDGES[dtype];
        const column: Values = { shape: [edges.length, 1], dtype, values: edges };
        await expectAsOnCpu(run, [column, { shape: [edges.length], dtype, values: edges }], tolerance);
        await fc.assert(
          fc.asyncProperty(
            pairs.chain(([a, b]) => fc.tuple(tensorOf(a, dtype), tensorOf(b, dtype))),
            (inputs) => expectAsOnCpu(run, inputs, tolerance),
          ),
          { numRuns: 8 },
        );
      });
    }
  }

  it('powers of whole numbers are exact below 2^53', async () => {
    const values: [number, number][] = [
      [3, 20],
      [-3, 19],
      [2, 31],
      [-2, 31],
      [7, 0],
      [0, 0],
      [10, 9],
      [1, -5],
      [-1, -5],
      [-1, 2147483647],
      [5, -1],
      [46341, 2],
      [0, -1],
    ];
    const dtype = 'int32' as const;
    const column = (n: 0 | 1): Values => ({
      shape: [values.length],
      dtype,
      values: values.map((pair) => pair[n]),
    });
    await expectAsOnCpu((a, b) => tf.pow(a, b), [column(0), column(1)]);
  });

  it('repeats operands along rows that are multiples of four, and others', async () => {
    for (const [a, b] of [
      [[3, 8], [8]],
      [
        [3, 8],
        [3, 1],
      ],
      [[8], [3, 8]],
      [
        [2, 5, 12],
        [2, 1, 12],
      ],
      [
        [2, 5, 12],
        [5, 1],
      ],
      [
        [2, 3, 2, 3, 2, 4],
        [3, 1, 3, 1, 4],
      ],
      [
        [2, 3, 2, 3, 2, 3],
        [3, 1, 3, 1, 3],
      ],
      [[1031], [1]],
    ] as const) {
      const [x] = fc.sample(tensorOf(a, 'float32', false), 1);
      const [y] = fc.sample(tensorOf(b, 'float32', false), 1);
      await expectAsOnCpu((left, right) => tf.sub(left, right), [x!, y!]);
    }
  });

  it('adds many tensors in their order', async () => {
    for (const dtype of ALL) {
      await fc.assert(
        fc.asyncProperty(
          fc.array(tensorOf([2, 3], dtype, false), { minLength: 1, maxLength: 5 }),
          (tensors) => expectAsOnCpu((...all) => tf.addN(all), tensors),
        ),
        { numRuns: 5 },
      );
    }
  });

  it('knows the gradient of elu', async () => {
    const kernel = (dy: tf.Tensor, y: tf.Tensor) => tf.engine().runKernel('EluGrad', { dy, y }) as tf.Tensor;
    await fc.assert(
      fc.asyncProperty(fc.tuple(tensorOf([3, 4], 'float32'), tensorOf([3, 4], 'float32')), (inputs) =>
        expectAsOnCpu(kernel, inputs, { ulps: 2, absolute: 1e-44 }),
      ),
      { numRuns: 10 },
    );
  });

  it('says which shapes do not go together', () => {
    expect(() => tf.add(tf.zeros([2, 3]), tf.zeros([4]))).toThrow(/broadcast/);
  });
});

describe('selection and constants', () => {
  it('chooses element by element', async () => {
    for (const dtype of ALL) {
      await fc.assert(
        fc.asyncProperty(
          fc.tuple(tensorOf([3, 4], 'bool'), tensorOf([3, 4], dtype), tensorOf([3, 4], dtype)),
          (inputs) => expectAsOnCpu((c, a, b) => tf.where(c as tf.Tensor<tf.Rank>, a, b), inputs),
        ),
        { numRuns: 5 },
      );
    }
  });

  it('chooses whole rows by a vector of conditions', () => {
    const [condition, t, e] = [
      tf.tensor1d([1, 0], 'bool'),
      tf.tensor2d([
        [1, 2],
        [3, 4],
      ]),
      tf.tensor2d([
        [5, 6],
        [7, 8],
      ]),
    ];
    const found = tf.engine().runKernel('Select', { condition, t, e }) as tf.Tensor;
    expect(found.arraySync()).toEqual([
      [1, 2],
      [7, 8],
    ]);
  });

  it('fills', async () => {
    for (const dtype of ALL) {
      const likes = [tf.zerosLike, tf.onesLike];
      for (const like of likes)
        await expectAsOnCpu((x) => like(x), [{ shape: [7], dtype, values: [1, 0, 1, 1, 0, 0, 1] }]);
    }
    await fc.assert(
      fc.asyncProperty(numberOf('float32'), (value) =>
        expectAsOnCpu(() => tf.fill([3, 5], value, 'float32'), []),
      ),
      { numRuns: 10 },
    );
    await expectAsOnCpu(() => tf.fill([9], -3, 'int32'), []);
  });
});

describe('launches of plans', () => {
  it('repeat the second operand with a period and clamp', () => {
    const values = Float32Array.from({ length: 24 }, (_, n) => n - 12);
    const a = addressOf(tf.tensor1d(values));
    for (const period of [1, 3, 4, 8, 24]) {
      const others = Float32Array.from({ length: period }, (_, n) => 3 * n);
      const b = addressOf(tf.tensor1d(others));
      const axes = periodAxes(24, period);
      for (const limit of [2 ** 30, 8]) {
        const found = launched([24], (y) =>
          launchBinary(cuda(), { operation: 'reverseSub', a, b, y, axes, clamp: 'relu6' }, limit),
        );
        expect(found).toEqual(
          values.map((value, n) => Math.min(6, Math.max(0, others[n % period]! - value))),
        );
      }
    }
  });

  it('scale and shift channels', () => {
    const values = Float32Array.from({ length: 40 }, (_, n) => n - 20);
    const x = addressOf(tf.tensor1d(values));
    for (const channels of [1, 4, 5, 8]) {
      const scales = Float32Array.from({ length: channels }, (_, n) => n + 0.5);
      const shifts = Float32Array.from({ length: channels }, (_, n) => -n);
      const [scale, shift] = [addressOf(tf.tensor1d(scales)), addressOf(tf.tensor1d(shifts))];
      for (const [clamp, limit] of [
        ['linear', 2 ** 30],
        ['relu', 8],
      ] as const) {
        const found = launched([40], (y) =>
          launchScaleShift(cuda(), { x, scale, shift, y, count: 40, channels, clamp }, limit),
        );
        const expected = values.map((value, n) => {
          const linear = value * scales[n % channels]! + shifts[n % channels]!;
          return clamp === 'relu' ? Math.max(0, linear) : linear;
        });
        expect(found).toEqual(expected);
      }
    }
  });
});
