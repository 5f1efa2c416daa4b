/** Steps that the WebAssembly modules have no kernel for: small in every network, so JavaScript will do. */
import type { PadStep } from './program.js';

export function sigmoid(x: Float32Array, y: Float32Array): void {
  for (let i = 0; i < x.length; i++) y[i] = 1 / (1 + Math.exp(-x[i]!));
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
