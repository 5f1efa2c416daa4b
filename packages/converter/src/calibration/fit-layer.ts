/** The recipe for one convolution: from statistics of its inputs to integers, scales and a bias. */
import { DSConvFilter, quantizeFilter, type ScaleFormat } from '@dsconv/core';
import type { LayerSpec } from '@dsconv/models';
import { blockGrid } from './block-grid.js';
import {
  addToDiagonal,
  cholesky,
  type Matrix,
  matrix,
  meanDiagonal,
  multiply,
  solveCholesky,
} from './matrix.js';
import { refitScales } from './refit-scales.js';
import { improveIntegers, type RoundedWeights, roundWithFeedback } from './round-weights.js';
import { storeFittedScales } from './store-scales.js';

/** What calibration pictures tell about a layer. Rows are patches of the quantized network's input, as its filter sees them. */
export interface LayerStatistics {
  /** Mean input μ, `[rows]`. */
  inputMean: Float64Array;
  /** Mean of the float network's output before the activation Ȳ, `[outputs]`. */
  outputMean: Float64Array;
  /** Covariance H of the inputs, `[rows, rows]`. */
  covariance: Matrix;
  /** Covariance of the inputs with the float network's outputs, `[rows, outputs]`. */
  crossCovariance: Matrix;
}

/** Numbers of the recipe. */
export interface FitParameters {
  /** λ₁: damping of the least-squares targets, relative to the mean diagonal of H. */
  targetDamping: number;
  /** λ₂: damping of H while rounding and refitting, relative likewise. */
  roundingDamping: number;
  /** Rounds of refitting all scales and improving all integers. */
  rounds: number;
  /** Whether weights may move towards what makes up for the errors of the layers before. */
  moveTargets: boolean;
}

export interface FitFormat {
  bits: number;
  blockSize: number;
  perChannel: boolean;
  scales: ScaleFormat;
}

export interface FittedLayer {
  filter: DSConvFilter;
  bias: Float32Array;
  /** Mean squared error of the outputs over their variance, by the statistics; how much of the signal is lost. */
  relativeError: number;
}

/**
 * 1. Least-squares targets `W* = W + (H + λ₁I)⁻¹ R`, R the covariance of the inputs with what the float weights leave wrong.
 * 2. Scales of W* by the search over clip ratios.
 * 3. Integers by error feedback under `H + λ₂I`.
 * 4. Scales refitted jointly and integers improved, in turn.
 * 5. The bias that makes the mean outputs equal.
 *
 * @param weights float HWIO, batch normalization folded
 */
export async function fitLayer(
  layer: Pick<LayerSpec, 'name' | 'shape'>,
  weights: Float32Array,
  statistics: LayerStatistics,
  format: FitFormat,
  parameters: FitParameters,
): Promise<FittedLayer> {
  const { shape, name } = layer;
  const outputs = shape[3];
  const { bits, blockSize, perChannel } = format;
  const grid = blockGrid(shape, blockSize, perChannel);
  const exact = matrix(grid.rows, outputs, weights);
  const { covariance } = statistics;
  const level = Math.max(meanDiagonal(covariance), 1e-12);
  const target = parameters.moveTargets
    ? await leastSquaresTarget(exact, statistics, parameters.targetDamping * level)
    : exact;
  const first = quantizeFilter(target.data, shape, { bits, blockSize, perChannel, scales: 'float32', name });
  const rounded: RoundedWeights = {
    q: matrix(grid.rows, outputs, Float32Array.from(first.unpack())),
    scales: matrix(grid.blocks, outputs, first.scales(perChannel ? 'cds' : 'kds')!),
    blockOf: grid.blockOf,
    bits,
  };
  first.dispose();
  const h = addToDiagonal(covariance, parameters.roundingDamping * level);
  await roundWithFeedback(h, target, rounded);
  const weighted = await multiply(h, target);
  for (let round = 0; round < parameters.rounds; round++) {
    await refitScales(h, weighted, grid, rounded);
    await improveIntegers(h, target, rounded);
  }
  if (parameters.rounds > 0) await refitScales(h, weighted, grid, rounded);
  const scales = storeFittedScales(rounded.scales.data, outputs, format.scales);
  const filter = DSConvFilter.fromIntegers(
    { kind: 'conv2d', shape, bits, blockSize, ...(perChannel ? { cds: scales } : { kds: scales }) },
    Int8Array.from(rounded.q.data),
  );
  const found = filter.dequantize();
  return {
    filter,
    bias: balancedBias(found, statistics),
    relativeError: await relativeError(matrix(grid.rows, outputs, found), exact, statistics),
  };
}

/** `W + (H + λI)⁻¹ (C - H W)`, C the covariance of the inputs with the wanted outputs. */
async function leastSquaresTarget(
  exact: Matrix,
  { covariance, crossCovariance }: LayerStatistics,
  damping: number,
): Promise<Matrix> {
  const found = await multiply(covariance, exact);
  const missing = matrix(exact.rows, exact.columns, crossCovariance.data.slice());
  for (let n = 0; n < missing.data.length; n++) missing.data[n]! -= found.data[n]!;
  const factor = await cholesky(addToDiagonal(covariance, damping), damping * 1e-3);
  const change = await solveCholesky(factor, missing);
  for (let n = 0; n < change.data.length; n++) change.data[n]! += exact.data[n]!;
  return change;
}

/** `Ȳ - μᵀ Ŵ`. */
export function balancedBias(
  weights: Float32Array,
  { inputMean, outputMean }: Pick<LayerStatistics, 'inputMean' | 'outputMean'>,
): Float32Array {
  const outputs = outputMean.length;
  const bias = outputMean.slice();
  for (let r = 0; r < inputMean.length; r++) {
    for (let o = 0; o < outputs; o++) bias[o]! -= inputMean[r]! * weights[r * outputs + o]!;
  }
  return Float32Array.from(bias);
}

/** `Σ_o (ŵ-w)ᵀ H (ŵ-w) / Σ_o wᵀ H w`. */
async function relativeError(found: Matrix, exact: Matrix, { covariance }: LayerStatistics): Promise<number> {
  const difference = matrix(exact.rows, exact.columns, exact.data.slice());
  for (let n = 0; n < difference.data.length; n++) difference.data[n]! -= found.data[n]!;
  const noise = dot(difference, await multiply(covariance, difference));
  const signal = dot(exact, await multiply(covariance, exact));
  return signal > 0 ? Math.max(0, noise) / signal : 0;
}

function dot(a: Matrix, b: Matrix): number {
  let sum = 0;
  for (let n = 0; n < a.data.length; n++) sum += a.data[n]! * b.data[n]!;
  return sum;
}
