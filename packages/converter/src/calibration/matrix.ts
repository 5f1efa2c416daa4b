/**
 * Dense linear algebra for calibration. Products run on the current TensorFlow.js backend, which has the fast kernels; what is left between two
 * products is small and runs here. All matrices are row-major float32.
 */
import { matMul, type Tensor2D, tensor2d, tidy } from '@tensorflow/tfjs-core';

/** Rows and columns that are factored or swept at a time between two products. */
export const PANEL = 64;

export interface Matrix {
  rows: number;
  columns: number;
  /** `[rows, columns]`. */
  data: Float32Array;
}

export function matrix(rows: number, columns: number, data?: Float32Array): Matrix {
  return { rows, columns, data: data ?? new Float32Array(rows * columns) };
}

/** `a · b`, or `aᵀ · b`. */
export async function multiply(a: Matrix, b: Matrix, transposeA = false): Promise<Matrix> {
  const product = tidy(() => matMul(toTensor(a), toTensor(b), transposeA));
  const data = (await product.data()) as Float32Array;
  product.dispose();
  return { rows: transposeA ? a.columns : a.rows, columns: b.columns, data };
}

/** A part of a matrix, copied. */
export function part(
  { data, columns }: Matrix,
  firstRow: number,
  endRow: number,
  firstColumn = 0,
  endColumn = columns,
): Matrix {
  const width = endColumn - firstColumn;
  const out = matrix(endRow - firstRow, width);
  for (let r = firstRow; r < endRow; r++) {
    const from = r * columns + firstColumn;
    out.data.set(data.subarray(from, from + width), (r - firstRow) * width);
  }
  return out;
}

/** A symmetric matrix with rows and columns in another order. */
export function permuteSymmetric({ rows: n, data }: Matrix, order: Int32Array): Matrix {
  const out = matrix(n, n);
  for (let r = 0; r < n; r++) {
    const from = order[r]! * n;
    for (let c = 0; c < n; c++) out.data[r * n + c] = data[from + order[c]!]!;
  }
  return out;
}

/** Mean of the diagonal. */
export function meanDiagonal({ rows: n, data }: Matrix): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += data[i * n + i]!;
  return n === 0 ? 0 : sum / n;
}

/** A copy with `value` added along the diagonal. */
export function addToDiagonal({ rows: n, data }: Matrix, value: number): Matrix {
  const out = matrix(n, n, data.slice());
  for (let i = 0; i < n; i++) out.data[i * n + i]! += value;
  return out;
}

/**
 * The lower factor `L` of a symmetric positive definite matrix, `h = L · Lᵀ`; what stands above its diagonal is not meant to be read.
 * A pivot that rounding made smaller than `floor` is replaced by it.
 *
 * Left-looking by panels: everything but the panel itself is one product.
 */
export async function cholesky(h: Matrix, floor: number): Promise<Matrix> {
  const n = h.rows;
  const l = matrix(n, n, h.data.slice());
  for (let first = 0; first < n; first += PANEL) {
    const end = Math.min(n, first + PANEL);
    if (first > 0) {
      const left = part(l, first, n, 0, first);
      const top = transpose(part(l, first, end, 0, first));
      subtract(l, (await multiply(left, top)).data, first, first, end - first);
    }
    factorPanel(l, first, end, floor);
  }
  return l;
}

/** Subtracts `[rows from firstRow to the end, width]` from a part of a matrix. */
function subtract(
  { rows, columns, data }: Matrix,
  values: Float32Array,
  firstRow: number,
  firstColumn: number,
  width: number,
): void {
  for (let r = firstRow; r < rows; r++) {
    const to = r * columns + firstColumn;
    const from = (r - firstRow) * width;
    for (let c = 0; c < width; c++) data[to + c]! -= values[from + c]!;
  }
}

function transpose({ rows, columns, data }: Matrix): Matrix {
  const out = matrix(columns, rows);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out.data[c * rows + r] = data[r * columns + c]!;
  }
  return out;
}

function factorPanel({ rows: n, data }: Matrix, first: number, end: number, floor: number): void {
  for (let j = first; j < end; j++) {
    const row = j * n;
    let pivot = data[row + j]!;
    for (let c = first; c < j; c++) pivot -= data[row + c]! ** 2;
    const root = Math.sqrt(Math.max(pivot, floor));
    data[row + j] = root;
    const inverse = 1 / root;
    for (let r = j + 1; r < n; r++) {
      const other = r * n;
      let sum = data[other + j]!;
      for (let c = first; c < j; c++) sum -= data[other + c]! * data[row + c]!;
      data[other + j] = sum * inverse;
    }
  }
}

/** `(L · Lᵀ)⁻¹ · b` for the factor that {@link cholesky} returns. */
export async function solveCholesky(l: Matrix, b: Matrix): Promise<Matrix> {
  const n = l.rows;
  const width = b.columns;
  const x = matrix(n, width, b.data.slice());
  for (let first = 0; first < n; first += PANEL) {
    const end = Math.min(n, first + PANEL);
    if (first > 0) {
      const product = await multiply(part(l, first, end, 0, first), part(x, 0, first));
      for (let i = 0; i < product.data.length; i++) x.data[first * width + i]! -= product.data[i]!;
    }
    for (let j = first; j < end; j++) {
      for (let c = first; c < j; c++) addRow(x, j, c, -l.data[j * n + c]!);
      scaleRow(x, j, 1 / l.data[j * n + j]!);
    }
  }
  for (let end = n; end > 0; end -= ((end - 1) % PANEL) + 1) {
    const first = end - 1 - ((end - 1) % PANEL);
    if (end < n) {
      const product = await multiply(part(l, end, n, first, end), part(x, end, n), true);
      for (let i = 0; i < product.data.length; i++) x.data[first * width + i]! -= product.data[i]!;
    }
    for (let j = end - 1; j >= first; j--) {
      for (let c = j + 1; c < end; c++) addRow(x, j, c, -l.data[c * n + j]!);
      scaleRow(x, j, 1 / l.data[j * n + j]!);
    }
  }
  return x;
}

/** `row[to] += factor · row[from]`. */
export function addRow({ columns, data }: Matrix, to: number, from: number, factor: number): void {
  const a = to * columns;
  const b = from * columns;
  for (let c = 0; c < columns; c++) data[a + c]! += factor * data[b + c]!;
}

function scaleRow({ columns, data }: Matrix, row: number, factor: number): void {
  for (let c = row * columns; c < (row + 1) * columns; c++) data[c]! *= factor;
}

export function toTensor({ data, rows, columns }: Matrix): Tensor2D {
  return tensor2d(data, [rows, columns], 'float32');
}

/** `a += b`. */
export function addTo(a: Matrix, b: Matrix): void {
  for (let n = 0; n < a.data.length; n++) a.data[n]! += b.data[n]!;
}
