/** Holds kernels against TensorFlow.js's own on the CPU: same inputs, same operator, results compared element by element. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, vi } from 'vitest';
import { BACKEND_NAME } from '../../src/index.js';
import { cuda } from './cuda.js';

export type Dtype = 'float32' | 'int32' | 'bool';

/** A tensor as data. */
export interface Values {
  shape: readonly number[];
  dtype: Dtype;
  values: readonly number[];
}

export interface Tolerance {
  /** Units in the last place of the larger of the two. Default 0: equal. */
  ulps?: number;
  /** An absolute difference that is let pass as well. Default 0. */
  absolute?: number;
}

type Operator = (...tensors: tf.Tensor[]) => tf.Tensor | tf.Tensor[];

interface Result {
  shape: number[];
  dtype: string;
  values: ArrayLike<number>;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((all, size) => all * size, 1);

function compute(operator: Operator, inputs: readonly Values[]): Result[] {
  let results: Result[] = [];
  tf.tidy(() => {
    const tensors = inputs.map(({ shape, dtype, values }) => tf.tensor([...values], [...shape], dtype));
    results = [operator(...tensors)].flat().map((result) => ({
      shape: result.shape,
      dtype: result.dtype,
      values: result.dataSync() as ArrayLike<number>,
    }));
  });
  return results;
}

/**
 * @param kernels how many launches there have to be at least: 0 for what only renames data, or leaves nothing to do
 * @throws where a result differs in shape, type or value, or nothing ran on the GPU
 */
export async function expectAsOnCpu(
  operator: Operator,
  inputs: readonly Values[],
  tolerance: Tolerance = {},
  kernels = 1,
): Promise<void> {
  const launch = vi.spyOn(cuda(), 'launch');
  const found = compute(operator, inputs);
  const launches = launch.mock.calls.filter(([{ grid }]) => !grid.includes(0)).length;
  launch.mockRestore();
  const isEmpty = found.every(({ shape }) => sizeOf(shape) === 0);
  expect(launches, 'launches on the GPU').toBeGreaterThanOrEqual(isEmpty ? 0 : kernels);
  await tf.setBackend('cpu');
  try {
    const expected = compute(operator, inputs);
    expect(found.length).toBe(expected.length);
    expected.forEach((result, n) => {
      expectSame(found[n]!, result, tolerance);
    });
  } finally {
    await tf.setBackend(BACKEND_NAME);
  }
}

/** The values of a new float32 tensor of zeros after `launches`, which are given its address. (Of a small tensor the backend keeps the values on the host as well.) */
export function launched(shape: readonly number[], launches: (y: number) => void): Float32Array {
  const info = cuda().make(shape, 'float32', (y) => {
    cuda().fill32(y.address, 0, y.size);
    launches(y.address);
  });
  const values = cuda().readSync(info.dataId) as Float32Array;
  cuda().disposeData(info.dataId);
  return values;
}

/** The device address of a tensor. */
export const addressOf = (tensor: tf.Tensor): number => cuda().tensor(tensor).address;

function expectSame(found: Result, expected: Result, { ulps = 0, absolute = 0 }: Tolerance): void {
  expect(found.shape).toEqual(expected.shape);
  expect(found.dtype).toBe(expected.dtype);
  // The CPU may keep whole numbers where the result is said to be float32, and the other way round.
  const isFloat = expected.dtype === 'float32';
  const wanted = Array.from(expected.values, (value) => (isFloat ? Math.fround(value) : value));
  for (let n = 0; n < wanted.length; n++) {
    if (!isClose(found.values[n]!, wanted[n]!, ulps, absolute)) {
      throw new Error(`element ${n} is ${found.values[n]}; expected ${wanted[n]}`);
    }
  }
}

function isClose(found: number, expected: number, ulps: number, absolute: number): boolean {
  if (found === expected || (Number.isNaN(found) && Number.isNaN(expected))) return true;
  if (!Number.isFinite(found) || !Number.isFinite(expected)) return false;
  const size = Math.max(Math.abs(found), Math.abs(expected), 2 ** -126);
  const unit = 2 ** (Math.floor(Math.log2(size)) - 23);
  return Math.abs(found - expected) <= ulps * unit + absolute;
}

/** Numbers at which operators change their ways. */
export const EDGES: Record<Dtype, readonly number[]> = {
  float32: [
    0,
    -0,
    1,
    -1,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    6,
    7,
    1e-30,
    -1e-30,
    1e-40,
    88,
    -88,
    104,
    -104,
    3e38,
    -3e38,
    1e9,
    16777217,
    2147483648,
    -2147483649,
    4294967297.5,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ].map(Math.fround),
  int32: [0, 1, -1, 2, -2, 3, 7, -7, 100, 16777217, 2147483647, -2147483648, -2147483647, 65536],
  bool: [0, 1],
};

const ordinary: Record<Dtype, fc.Arbitrary<number>> = {
  float32: fc.float({ min: -8, max: 8, noNaN: true }),
  int32: fc.integer({ min: -1000, max: 1000 }),
  bool: fc.integer({ min: 0, max: 1 }),
};

/** Numbers of a type, now and then one of the edges. */
export const numberOf = (dtype: Dtype, edges = true): fc.Arbitrary<number> =>
  edges
    ? fc.oneof(
        { weight: 4, arbitrary: ordinary[dtype] },
        { weight: 1, arbitrary: fc.constantFrom(...EDGES[dtype]) },
      )
    : ordinary[dtype];

/** Shapes of up to `rank` axes, small enough for the emulation. */
export const shapes = (rank: number, least = 0, longest = 5): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: least, max: longest }), { maxLength: rank });

/** Tensors of a shape. */
export const tensorOf = (shape: readonly number[], dtype: Dtype, edges = true): fc.Arbitrary<Values> =>
  fc
    .array(numberOf(dtype, edges), { minLength: sizeOf(shape), maxLength: sizeOf(shape) })
    .map((values) => ({ shape, dtype, values }));

/** Numbers of a seed, for sizes that are too large to be drawn one by one. */
export function randomValues(shape: readonly number[], dtype: Dtype, seed = 1): Values {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const make: Record<Dtype, () => number> = {
    float32: () => Math.fround(next() * 4 - 2),
    int32: () => Math.floor(next() * 2000) - 1000,
    bool: () => (next() < 0.5 ? 1 : 0),
  };
  return { shape, dtype, values: Array.from({ length: sizeOf(shape) }, make[dtype]) };
}
