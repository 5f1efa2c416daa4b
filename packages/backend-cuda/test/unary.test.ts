import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { launchUnary, UNARY_CODE } from '../src/kernels/unary.js';
import {
  addressOf,
  EDGES,
  expectAsOnCpu,
  launched,
  shapes,
  type Tolerance,
  tensorOf,
} from './support/against-cpu.js';
import { cuda, onCuda } from './support/cuda.js';

onCuda();

interface Function {
  run: (x: tf.Tensor) => tf.Tensor;
  tolerance?: Tolerance;
}

/** Libraries of C are exact to a unit or two; what is added after them costs another. */
const ACCURATE: Tolerance = { ulps: 3, absolute: 1e-44 };

const FLOAT: Record<string, Function> = {
  abs: { run: tf.abs },
  neg: { run: tf.neg },
  exp: { run: tf.exp, tolerance: ACCURATE },
  expm1: { run: tf.expm1, tolerance: ACCURATE },
  log: { run: tf.log, tolerance: ACCURATE },
  log1p: { run: tf.log1p, tolerance: ACCURATE },
  sqrt: { run: tf.sqrt },
  rsqrt: { run: tf.rsqrt, tolerance: ACCURATE },
  square: { run: tf.square },
  sigmoid: { run: tf.sigmoid, tolerance: ACCURATE },
  tanh: { run: tf.tanh, tolerance: ACCURATE },
  relu: { run: tf.relu },
  relu6: { run: tf.relu6 },
  // The CPU subtracts 1 from an exponential, which is exact in float64 to 2^-53.
  elu: { run: tf.elu, tolerance: { ulps: 3, absolute: 2e-16 } },
  selu: { run: tf.selu, tolerance: { ulps: 3, absolute: 4e-16 } },
  leakyRelu: { run: (x) => tf.leakyRelu(x, 0.25) },
  softplus: { run: tf.softplus, tolerance: { ulps: 4, absolute: 1e-16 } },
  sign: { run: tf.sign },
  floor: { run: tf.floor },
  ceil: { run: tf.ceil },
  round: { run: tf.round },
  reciprocal: { run: tf.reciprocal },
  clip: { run: (x) => tf.clipByValue(x, -1.5, 2.25) },
  step: { run: (x) => tf.step(x, -0.5) },
  sin: { run: tf.sin, tolerance: { ulps: 3, absolute: 1e-7 } },
  cos: { run: tf.cos, tolerance: { ulps: 3, absolute: 1e-7 } },
  tan: { run: tf.tan, tolerance: { ulps: 6, absolute: 1e-7 } },
  // TensorFlow.js's formula is 1.5e-7 off; ours is the error function.
  erf: { run: tf.erf, tolerance: { absolute: 3e-7 } },
  isNaN: { run: tf.isNaN },
  isInf: { run: tf.isInf },
  isFinite: { run: tf.isFinite },
  castToInt: { run: (x) => tf.cast(x, 'int32') },
  castToBool: { run: (x) => tf.cast(x, 'bool') },
};

const INTEGER: Record<string, Function> = {
  neg: { run: tf.neg },
  exp: { run: tf.exp, tolerance: ACCURATE },
  expm1: { run: (x) => tf.expm1(tf.clipByValue(x, -20, 20)) },
  log1p: { run: tf.log1p },
  relu: { run: tf.relu },
  relu6: { run: tf.relu6 },
  leakyRelu: { run: (x) => tf.leakyRelu(x, 0.25), tolerance: { ulps: 1 } },
  sign: { run: tf.sign },
  round: { run: tf.round },
  reciprocal: { run: tf.reciprocal },
  clip: { run: (x) => tf.clipByValue(x, -2147483647, 2147483646) },
  step: { run: (x) => tf.step(x, 3) },
  isNaN: { run: tf.isNaN },
  isInf: { run: tf.isInf },
  isFinite: { run: tf.isFinite },
  castToFloat: { run: (x) => tf.cast(x, 'float32') },
  castToBool: { run: (x) => tf.cast(x, 'bool') },
};

const BOOL: Record<string, Function> = {
  not: { run: (x) => tf.logicalNot(x) },
  relu: { run: tf.relu },
  castToFloat: { run: (x) => tf.cast(x, 'float32') },
  castToInt: { run: (x) => tf.cast(x, 'int32') },
};

for (const [dtype, table] of [
  ['float32', FLOAT],
  ['int32', INTEGER],
  ['bool', BOOL],
] as const) {
  describe(`functions of ${dtype}`, () => {
    for (const [name, { run, tolerance }] of Object.entries(table)) {
      it(name, async () => {
        const values = EDGES[dtype];
        await expectAsOnCpu(run, [{ shape: [values.length], dtype, values }], tolerance);
        await fc.assert(
          fc.asyncProperty(
            shapes(4).chain((shape) => tensorOf(shape, dtype)),
            (x) => expectAsOnCpu(run, [x], tolerance),
          ),
          { numRuns: 8 },
        );
      });
    }
  });
}

describe('whole numbers', () => {
  /** The CPU stores these as float32 under the name of int32. */
  it('are exact where the CPU rounds them to float32', () => {
    const x = tf.tensor1d([16777217, -16777217, 2147483647, 46340], 'int32');
    expect([...tf.abs(x).dataSync()]).toEqual([16777217, 16777217, 2147483647, 46340]);
    expect(tf.square(x).dataSync()[3]).toBe(46340 * 46340);
  });
});

describe('launchUnary', () => {
  it('takes any length and address, in pieces', () => {
    const values = Float32Array.from({ length: 41 }, (_, n) => n - 20.5);
    const x = addressOf(tf.tensor1d(values));
    for (const [from, count, limit] of [
      [0, 41, 64],
      [1, 40, 64],
      [3, 37, 8],
      [0, 3, 2],
    ] as const) {
      const found = launched([41], (y) => {
        const at = 4 * from;
        launchUnary(cuda(), { operation: 'neg', x: x + at, y: y + at, count }, limit);
      });
      expect(found).toEqual(values.map((value, n) => (n >= from && n < from + count ? -value : 0)));
    }
  });

  it('has silu, which only plans use', () => {
    const values = [-100, -1, 0, 1, 100];
    const x = addressOf(tf.tensor1d(values));
    const found = launched([5], (y) => launchUnary(cuda(), { operation: 'silu', x, y, count: 5 }));
    values.forEach((value, n) => {
      expect(found[n]).toBeCloseTo(value / (1 + Math.exp(-value)), 6);
    });
  });

  it('knows its codes once each', () => {
    const codes = Object.values(UNARY_CODE);
    expect(new Set(codes).size).toBe(codes.length);
  });
});
