/**
 * Integers under a second-order measure of harm. With inputs x of covariance H, replacing a filter's column w by ŵ changes the outputs by
 * `(w - ŵ)ᵀ H (w - ŵ)` on average; both functions here make that small for given block scales.
 */
import { roundHalfEven } from '@dsconv/core';
import { cholesky, type Matrix, matrix, multiply, PANEL, part, permuteSymmetric } from './matrix.js';

/** Integers of a filter's matrix and the scales they are multiplied with. */
export interface RoundedWeights {
  /** `[rows, outputs]`, whole numbers. */
  q: Matrix;
  /** `[blocks, outputs]`. */
  scales: Matrix;
  /** Block of every row. */
  blockOf: Int32Array;
  bits: number;
}

/** A covariance as {@link roundBy} reads it; the same for every choice of scales and bits. */
export interface RoundingOrder {
  /** Rows from the one that is rounded last to the first, `[rows]`. */
  order: Int32Array;
  /** Lower factor of the covariance in that order. */
  factor: Matrix;
}

/** @param h symmetric, positive definite with its damping, `[rows, rows]` */
export async function roundingOrder(h: Matrix): Promise<RoundingOrder> {
  const order = ascendingDiagonal(h);
  return { order, factor: await cholesky(permuteSymmetric(h, order), smallestPivot(h)) };
}

/**
 * Rounds one row after the other, each against what the rounding errors of the rows before it did to the outputs. Rows of large diagonal go
 * first, while many others are left to make up for their errors.
 *
 * This is GPTQ (Frantar et al., arXiv 2210.17323; also OBQ, arXiv 2208.11580) in its form with a factor of H itself: with H = L Lᵀ in the
 * reversed order, row j of `Lᵀ e` holds the errors of row j and of those rounded before it only, so that choosing `q_j` to cancel it needs no
 * inverse.
 *
 * @param h symmetric, positive definite with its damping, `[rows, rows]`
 * @param weights `[rows, outputs]`
 * @param rounded its scales are read, its integers set
 */
export async function roundWithFeedback(h: Matrix, weights: Matrix, rounded: RoundedWeights): Promise<void> {
  await roundBy(await roundingOrder(h), weights, rounded);
}

/** {@link roundWithFeedback} for a covariance that is factored already. */
export async function roundBy(
  { order, factor: l }: RoundingOrder,
  weights: Matrix,
  rounded: RoundedWeights,
): Promise<void> {
  const n = weights.rows;
  const outputs = weights.columns;
  const errors = matrix(n, outputs);
  for (let end = n; end > 0; ) {
    const first = end - 1 - ((end - 1) % PANEL);
    const carried =
      end < n
        ? await multiply(part(l, end, n, first, end), part(errors, end, n), true)
        : matrix(end - first, outputs);
    for (let j = end - 1; j >= first; j--) {
      const row = matrix(1, outputs, carried.data.subarray((j - first) * outputs, (j - first + 1) * outputs));
      for (let i = j + 1; i < end; i++) addScaled(row.data, errors.data, i * outputs, l.data[i * n + j]!);
      roundRow(order[j]!, row.data, 1 / l.data[j * n + j]!, weights, rounded, errors.data, j * outputs);
    }
    end = first;
  }
}

function addScaled(to: Float32Array, from: Float32Array, start: number, factor: number): void {
  for (let o = 0; o < to.length; o++) to[o]! += factor * from[start + o]!;
}

/** Rounds one row against `carried / pivot` and leaves what is still wrong in `errors`. */
function roundRow(
  row: number,
  carried: Float32Array,
  inversePivot: number,
  weights: Matrix,
  { q, scales, blockOf, bits }: RoundedWeights,
  errors: Float32Array,
  errorStart: number,
): void {
  const outputs = weights.columns;
  const low = -(2 ** (bits - 1));
  const high = -low - 1;
  const scaleStart = blockOf[row]! * outputs;
  const start = row * outputs;
  for (let o = 0; o < outputs; o++) {
    const weight = weights.data[start + o]!;
    const scale = scales.data[scaleStart + o]!;
    const integer = scale === 0 ? 0 : nearest((weight + carried[o]! * inversePivot) / scale, low, high);
    q.data[start + o] = integer;
    errors[errorStart + o] = weight - integer * scale;
  }
}

/**
 * One sweep of coordinate descent: every integer in turn moves to where the error, given all the others, is least. Never makes it larger.
 *
 * @param h symmetric, `[rows, rows]`, positive diagonal
 */
export async function improveIntegers(h: Matrix, weights: Matrix, rounded: RoundedWeights): Promise<void> {
  const { q, scales, blockOf, bits } = rounded;
  const n = weights.rows;
  const outputs = weights.columns;
  const low = -(2 ** (bits - 1));
  const high = -low - 1;
  const gradient = await multiply(h, residual(weights, rounded));
  for (let first = 0; first < n; first += PANEL) {
    const end = Math.min(n, first + PANEL);
    const changes = matrix(end - first, outputs);
    for (let j = first; j < end; j++) {
      const diagonal = 1 / h.data[j * n + j]!;
      const scaleStart = blockOf[j]! * outputs;
      for (let o = 0; o < outputs; o++) {
        const at = j * outputs + o;
        const scale = scales.data[scaleStart + o]!;
        if (scale === 0) continue;
        const old = q.data[at]!;
        const integer = nearest(old + (gradient.data[at]! * diagonal) / scale, low, high);
        q.data[at] = integer;
        changes.data[(j - first) * outputs + o] = (integer - old) * scale;
      }
      for (let i = j + 1; i < end; i++) {
        const from = (j - first) * outputs;
        const factor = h.data[i * n + j]!;
        const to = i * outputs;
        for (let o = 0; o < outputs; o++) gradient.data[to + o]! -= factor * changes.data[from + o]!;
      }
    }
    if (end === n) break;
    const moved = await multiply(part(h, end, n, first, end), changes);
    const to = end * outputs;
    for (let i = 0; i < moved.data.length; i++) gradient.data[to + i]! -= moved.data[i]!;
  }
}

/** `w - ŵ`. */
export function residual(weights: Matrix, { q, scales, blockOf }: RoundedWeights): Matrix {
  const { rows, columns } = weights;
  const out = matrix(rows, columns);
  for (let r = 0; r < rows; r++) {
    const scaleStart = blockOf[r]! * columns;
    for (let o = 0; o < columns; o++) {
      const at = r * columns + o;
      out.data[at] = weights.data[at]! - q.data[at]! * scales.data[scaleStart + o]!;
    }
  }
  return out;
}

/** Rows by ascending diagonal; equal ones in reverse, so that they are rounded in their own order. */
function ascendingDiagonal({ rows: n, data }: Matrix): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => i).sort(
    (a, b) => data[a * n + a]! - data[b * n + b]! || b - a,
  );
}

function smallestPivot({ rows: n, data }: Matrix): number {
  let smallest = Infinity;
  for (let i = 0; i < n; i++) smallest = Math.min(smallest, data[i * n + i]!);
  return Math.max(smallest * 1e-4, Number.MIN_VALUE);
}

/** To even where two are equally near; clamped. */
function nearest(value: number, low: number, high: number): number {
  const rounded = roundHalfEven(value);
  return rounded < low ? low : rounded > high ? high : rounded;
}
