/** Float kernels before TensorFlow.js's CPU backend. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { beforeEach, describe, expect } from 'vitest';
import { TIERS } from '../../src/device/launch.js';
import { cuda } from './cuda.js';

/** Tests of eager kernels, with the fast ones and with the plain ones beside them. */
export function onEachTier(tests: (plain: boolean) => void): void {
  describe.each(TIERS)('%s', (tier) => {
    beforeEach(() => {
      cuda().tier = tier;
    });
    tests(tier === 'naive');
  });
}

export interface Given {
  shape: number[];
  values: Float32Array;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function* numbers(seed: number): Generator<number> {
  let state = seed >>> 0;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** Values in [-1, 1). */
export function random(shape: number[], seed: number): Given {
  const next = numbers(seed);
  return { shape, values: Float32Array.from({ length: sizeOf(shape) }, () => 2 * next.next().value! - 1) };
}

/** Integers from -7 to 7: sums of some thousand products of them are exact in any order. */
export function integers(shape: number[], seed: number): Given {
  const next = numbers(seed);
  return {
    shape,
    values: Float32Array.from({ length: sizeOf(shape) }, () => Math.floor(15 * next.next().value!) - 7),
  };
}

/** Values in [0, 1), and `plus`. */
export function positive(shape: number[], seed: number, plus = 0): Given {
  return { shape, values: random(shape, seed).values.map((value) => Math.abs(value) + plus) };
}

/** The same with some values that are not finite. */
export function odd(given: Given, seed: number, share = 0.05): Given {
  const next = numbers(seed);
  const kinds = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const values = given.values.map((value) =>
    next.next().value! < share ? kinds[Math.floor(3 * next.next().value!)]! : value,
  );
  return { ...given, values };
}

export type Body = (...tensors: tf.Tensor[]) => tf.Tensor;

interface Result {
  shape: number[];
  values: Float32Array;
}

function run(body: Body, given: Given[]): Result {
  return tf.tidy(() => {
    const y = body(...given.map(({ values, shape }) => tf.tensor(values.slice(), shape)));
    return { shape: y.shape, values: y.dataSync() as Float32Array };
  });
}

/** What TensorFlow.js's CPU backend makes of it. */
export async function onCpu(body: Body, given: Given[]): Promise<Result> {
  const before = tf.getBackend();
  await tf.setBackend('cpu');
  try {
    return run(body, given);
  } finally {
    await tf.setBackend(before);
  }
}

/** What the current backend does. */
export const onDevice = run;

/** Equal bit by bit but for the sign of zero, and NaN where NaN is expected. */
export function expectSame(found: Result, wanted: Result): void {
  expect(found.shape).toEqual(wanted.shape);
  for (let n = 0; n < wanted.values.length; n++) {
    const [a, b] = [found.values[n]!, wanted.values[n]!];
    if (!(a === b || (Number.isNaN(a) && Number.isNaN(b))))
      expect.fail(`value ${n} is ${a}; the CPU has ${b}`);
  }
}

export interface Bound {
  /** Terms of the longest sum. */
  terms: number;
  /** The same sums without signs; the body itself, of magnitudes, where this is absent. */
  magnitude?: Body;
  /** Relative error of what follows the sum, in units of 2^-24. */
  after?: number;
}

/**
 * Holds the current backend against the CPU, value by value: what both have rounded may differ by the number of terms times 2^-24 times the sum of their
 * magnitudes.
 */
export async function expectClose(body: Body, given: Given[], bound: Bound): Promise<void> {
  const wanted = await onCpu(body, given);
  const unsigned = given.map(({ shape, values }) => ({ shape, values: values.map(Math.abs) }));
  const magnitudes = await onCpu(bound.magnitude ?? body, unsigned);
  const found = run(body, given);
  expect(found.shape).toEqual(wanted.shape);
  for (let n = 0; n < wanted.values.length; n++) {
    const [a, b] = [found.values[n]!, wanted.values[n]!];
    const allowed =
      (2 * (bound.terms + 2) * magnitudes.values[n]! + (bound.after ?? 0) * Math.abs(b)) * 2 ** -24;
    if (!(Math.abs(a - b) <= allowed) && !(Number.isNaN(a) && Number.isNaN(b)))
      expect.fail(`value ${n} is ${a}; the CPU has ${b}, and ${allowed} is allowed`);
  }
}

/** Equal to the CPU in every bit: for integers, and for what is not finite. */
export async function expectEqual(body: Body, given: Given[]): Promise<void> {
  expectSame(run(body, given), await onCpu(body, given));
}

/** The device address of given values, for as long as the tidy that it is called in. */
export function addressOf({ shape, values }: Given): number {
  return cuda().tensor(tf.tensor(values.slice(), shape)).address;
}

/** What `launch` writes to a new result of `shape`; it is filled with NaN before. */
export function written(shape: number[], launch: (y: number) => void): Float32Array {
  return tf.tidy(() => {
    const y = tf.fill(shape, Number.NaN);
    launch(cuda().tensor(y).address);
    return y.dataSync() as Float32Array;
  });
}
