/** Steps that the WebAssembly modules have no kernel for: small in every network, so JavaScript will do. */
import type { PadStep } from '@dsconv/core';
import type { ExtraBinaryCode, ExtraUnaryCode } from '../engine.js';

const UNARY: Record<ExtraUnaryCode, (value: number) => number> = {
  sigmoid: (value) => 1 / (1 + Math.exp(-value)),
  tanh: Math.tanh,
  exp: Math.exp,
};

const BINARY: Record<ExtraBinaryCode, (a: number, b: number) => number> = {
  max: Math.max,
  min: Math.min,
  div: (a, b) => a / b,
};

/** The function of a code that the modules lack, or null for one that they have. */
export function plainUnary(code: string): ((x: Float32Array, y: Float32Array) => void) | null {
  if (!(code in UNARY)) return null;
  const f = UNARY[code as ExtraUnaryCode];
  return (x, y) => {
    for (let i = 0; i < x.length; i++) y[i] = f(x[i]!);
  };
}

/** As {@link plainUnary}, with `b` repeated along `a`. */
export function plainBinary(
  code: string,
): ((a: Float32Array, b: Float32Array, y: Float32Array) => void) | null {
  if (!(code in BINARY)) return null;
  const f = BINARY[code as ExtraBinaryCode];
  return (a, b, y) => {
    for (let i = 0; i < a.length; i++) y[i] = f(a[i]!, b[i % b.length]!);
  };
}

/** Softmax of rows of `channels`, with the row's maximum taken away first. */
export function softmaxRows(x: Float32Array, y: Float32Array, channels: number): void {
  for (let start = 0; start < x.length; start += channels) {
    const row = x.subarray(start, start + channels);
    const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
    let sum = 0;
    for (let i = 0; i < channels; i++) {
      const e = Math.fround(Math.exp(row[i]! - largest));
      y[start + i] = e;
      sum += e;
    }
    for (let i = 0; i < channels; i++) y[start + i] = y[start + i]! / sum;
  }
}

/** Joins rows: pixel by pixel, `channels[n]` values of input `n`. */
export function concatRows(
  inputs: readonly Float32Array[],
  channels: readonly number[],
  y: Float32Array,
): void {
  const width = channels.reduce((a, b) => a + b, 0);
  let offset = 0;
  inputs.forEach((input, n) => {
    const count = channels[n]!;
    for (let from = 0, to = offset; from < input.length; from += count, to += width) {
      y.set(input.subarray(from, from + count), to);
    }
    offset += count;
  });
}

export function padImage(x: Float32Array, y: Float32Array, step: PadStep): void {
  const { batch, height, width, channels, top, bottom, left, right, value } = step;
  y.fill(value);
  const outWidth = width + left + right;
  const outHeight = height + top + bottom;
  const row = width * channels;
  for (let n = 0; n < batch; n++) {
    for (let h = 0; h < height; h++) {
      const from = (n * height + h) * row;
      const to = ((n * outHeight + h + top) * outWidth + left) * channels;
      y.set(x.subarray(from, from + row), to);
    }
  }
}
