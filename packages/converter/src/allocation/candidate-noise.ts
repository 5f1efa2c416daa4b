/** What every form of a layer would leave wrong in its outputs, from a few of its output channels. */
import { quantizeFilter } from '@dsconv/core';
import type { LayerSpec } from '@dsconv/models';
import { blockGrid } from '../calibration/block-grid.js';
import { addToDiagonal, type Matrix, matrix, meanDiagonal, multiply } from '../calibration/matrix.js';
import { type RoundedWeights, residual, roundBy, roundingOrder } from '../calibration/round-weights.js';
import type { Candidate } from './candidates.js';

/** Output channels that stand for all of a layer; the noise of forms is compared, not measured absolutely. */
const OUTPUTS = 16;

/**
 * `tr (W - Ŵ)ᵀ H (W - Ŵ)` of each form, on the same evenly chosen output channels.
 *
 * @param weights float HWIO
 * @param rounding covariance of the layer's inputs, `[kh · kw · depth, kh · kw · depth]`, to round by error feedback; null rounds each weight for
 *   itself
 * @param judge H, likewise; null takes all inputs as alike and independent
 * @param damping of `rounding`, relative to its mean diagonal
 */
export async function candidateNoise(
  { shape, name }: Pick<LayerSpec, 'shape' | 'name'>,
  weights: Float32Array,
  rounding: Matrix | null,
  judge: Matrix | null,
  candidates: readonly Candidate[],
  damping: number,
): Promise<number[]> {
  const [kh, kw, depth, outputs] = shape;
  const some = Math.min(OUTPUTS, outputs);
  const exact = columns(matrix(kh * kw * depth, outputs, weights), some);
  const part = [kh, kw, depth, some] as const;
  const order = rounding && (await roundingOrder(addToDiagonal(rounding, damping * levelOf(rounding))));
  const noises: number[] = [];
  for (const { bits, blockSize, perChannel } of candidates) {
    const filter = quantizeFilter(exact.data, part, { bits, blockSize, perChannel, scales: 'float32', name });
    const grid = blockGrid(part, blockSize, perChannel);
    const rounded: RoundedWeights = {
      q: matrix(grid.rows, some, Float32Array.from(filter.unpack())),
      scales: matrix(grid.blocks, some, filter.scales(perChannel ? 'cds' : 'kds')!),
      blockOf: grid.blockOf,
      bits,
    };
    filter.dispose();
    if (order) await roundBy(order, exact, rounded);
    const wrong = residual(exact, rounded);
    noises.push(judge ? await weightedSquare(judge, wrong) : squareSum(wrong));
  }
  return noises;
}

const levelOf = (covariance: Matrix): number => Math.max(meanDiagonal(covariance), 1e-12);

const squareSum = ({ data }: Matrix): number => data.reduce((sum, value) => sum + value * value, 0);

/** `tr Eᵀ H E`. */
export async function weightedSquare(h: Matrix, e: Matrix): Promise<number> {
  const product = await multiply(h, e);
  let sum = 0;
  for (let n = 0; n < e.data.length; n++) sum += e.data[n]! * product.data[n]!;
  return Math.max(0, sum);
}

/** `count` columns, evenly spread. */
function columns({ rows, columns: width, data }: Matrix, count: number): Matrix {
  const out = matrix(rows, count);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < count; c++)
      out.data[r * count + c] = data[r * width + Math.floor((c * width) / count)]!;
  }
  return out;
}
