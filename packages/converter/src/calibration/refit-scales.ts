import type { BlockGrid } from './block-grid.js';
import { type Matrix, multiply, part } from './matrix.js';
import type { RoundedWeights } from './round-weights.js';

/** How strongly a refitted scale is held at its old value, relative to the mean of the system's diagonal. */
const RIDGE = 1e-4;

/**
 * Fits all scales of every output channel jointly, for the integers as they are: the least of `(w - Σ_b s_b q_b)ᵀ H (w - Σ_b s_b q_b)`, where
 * `q_b` holds the integers of block b and zeros elsewhere.
 *
 * @param h `[rows, rows]`
 * @param weighted `H · W`, `[rows, outputs]`
 */
export async function refitScales(
  h: Matrix,
  weighted: Matrix,
  grid: BlockGrid,
  { q, scales }: RoundedWeights,
): Promise<void> {
  const { rows, blocks, starts } = grid;
  const outputs = q.columns;
  // Lower triangles, one system after the other.
  const size = (blocks * (blocks + 1)) / 2;
  const systems = new Float64Array(outputs * size);
  const right = new Float64Array(outputs * blocks);
  const sums = new Float64Array(outputs);
  for (let b = 0; b < blocks; b++) {
    // H · q_b for the rows from block b on; H is symmetric, and the blocks before it have been paired with b already.
    const product = await multiply(
      part(h, starts[b]!, rows, starts[b]!, starts[b + 1]!),
      part(q, starts[b]!, starts[b + 1]!),
    );
    for (let other = b; other < blocks; other++) {
      sums.fill(0);
      for (let r = starts[other]!; r < starts[other + 1]!; r++) {
        const from = (r - starts[b]!) * outputs;
        const to = r * outputs;
        for (let o = 0; o < outputs; o++) sums[o]! += product.data[from + o]! * q.data[to + o]!;
      }
      const at = (other * (other + 1)) / 2 + b;
      for (let o = 0; o < outputs; o++) systems[o * size + at] = sums[o]!;
    }
    for (let r = starts[b]!; r < starts[b + 1]!; r++) {
      for (let o = 0; o < outputs; o++) {
        right[o * blocks + b]! += weighted.data[r * outputs + o]! * q.data[r * outputs + o]!;
      }
    }
  }
  for (const [b, ridge] of ridges(systems, blocks, outputs).entries()) {
    const diagonal = (b * (b + 1)) / 2 + b;
    for (let o = 0; o < outputs; o++) {
      systems[o * size + diagonal]! += ridge;
      right[o * blocks + b]! += ridge * scales.data[b * outputs + o]!;
    }
  }
  for (let o = 0; o < outputs; o++) {
    const solution = right.subarray(o * blocks, (o + 1) * blocks);
    solveInPlace(systems.subarray(o * size, (o + 1) * size), solution);
    for (let b = 0; b < blocks; b++) scales.data[b * outputs + o] = solution[b]!;
  }
}

/** One for each block: its diagonal's mean over all outputs, times {@link RIDGE}. */
function ridges(systems: Float64Array, blocks: number, outputs: number): number[] {
  const size = (blocks * (blocks + 1)) / 2;
  return Array.from({ length: blocks }, (_, b) => {
    const diagonal = (b * (b + 1)) / 2 + b;
    let sum = 0;
    for (let o = 0; o < outputs; o++) sum += systems[o * size + diagonal]!;
    return (RIDGE * sum) / outputs + 1e-12;
  });
}

/** Solves `A x = b` by Cholesky, A as a packed lower triangle; `x` replaces `b`, the factor replaces A. */
function solveInPlace(a: Float64Array, x: Float64Array): void {
  const n = x.length;
  for (let r = 0, row = 0; r < n; r++, row += r) {
    for (let c = 0, column = 0; c <= r; c++, column += c) {
      let sum = a[row + c]!;
      for (let i = 0; i < c; i++) sum -= a[row + i]! * a[column + i]!;
      a[row + c] = c < r ? sum / a[column + c]! : Math.sqrt(Math.max(sum, 1e-30));
    }
    let sum = x[r]!;
    for (let i = 0; i < r; i++) sum -= a[row + i]! * x[i]!;
    x[r] = sum / a[row + r]!;
  }
  for (let r = n - 1; r >= 0; r--) {
    let sum = x[r]!;
    for (let i = r + 1; i < n; i++) sum -= a[(i * (i + 1)) / 2 + r]! * x[i]!;
    x[r] = sum / a[(r * (r + 1)) / 2 + r]!;
  }
}
