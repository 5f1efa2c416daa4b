/** One computation on two backends. */
import { selectBackend } from '@dsconv/core';
import * as tf from '@tensorflow/tfjs-core';
import { expect } from 'vitest';

/** Values in [-1, 1) from a seed. */
export function values(size: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

export const tensor = (shape: number[], seed: number) =>
  tf.tensor(values(tf.util.sizeFromShape(shape), seed), shape);

/** Runs a function of fresh tensors on both backends; sums of `terms` products of values below 1 may differ by rounding only. */
export async function compare(name: string, body: () => tf.Tensor, terms: number): Promise<void> {
  await tf.setBackend('cpu');
  const wanted = tf.tidy(() => {
    const y = body();
    return { shape: y.shape, values: y.dataSync() };
  });
  await selectBackend([name]);
  const found = tf.tidy(() => {
    const y = body();
    return { shape: y.shape, values: y.dataSync() };
  });
  expect(found.shape).toEqual(wanted.shape);
  const bound = 8 * terms * 2 ** -24;
  for (let n = 0; n < wanted.values.length; n++) {
    const difference = Math.abs(found.values[n]! - wanted.values[n]!);
    if (!(difference <= bound) && !Object.is(found.values[n], wanted.values[n])) {
      expect.fail(`output ${n} is ${found.values[n]}; the CPU kernel gives ${wanted.values[n]}`);
    }
  }
}
