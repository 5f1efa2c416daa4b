/** Covariances from rows that arrive in pieces, in memory that does not grow with their number. */
import { add, keep, matMul, type Tensor2D, tensor2d, tidy, zeros } from '@tensorflow/tfjs-core';
import type { LayerStatistics } from './fit-layer.js';
import { type Matrix, matrix } from './matrix.js';

/** Rows that are gathered before they go to the backend. */
const ROWS = 4096;
/** Numbers that are gathered at most. */
const CAPACITY = 2 ** 25;

/**
 * Collects inputs x `[inputs]` and outputs y `[outputs]`. Sums run over `x - x₀` and `y - y₀`, with x₀ and y₀ the means of the first rows, so that
 * little is lost when the means are taken out at the end.
 */
export class CovarianceAccumulator {
  private readonly x: Float32Array;
  private readonly y: Float32Array;
  private readonly capacity: number;
  private waiting = 0;
  private count = 0;
  private readonly xShift: Float64Array;
  private readonly yShift: Float64Array;
  private readonly xSum: Float64Array;
  private readonly ySum: Float64Array;
  private xx: Tensor2D;
  private xy: Tensor2D;

  constructor(
    private readonly inputs: number,
    private readonly outputs: number,
  ) {
    this.capacity = Math.max(1, Math.min(ROWS, Math.floor(CAPACITY / (inputs + outputs))));
    this.x = new Float32Array(this.capacity * inputs);
    this.y = new Float32Array(this.capacity * outputs);
    this.xShift = new Float64Array(inputs);
    this.yShift = new Float64Array(outputs);
    this.xSum = new Float64Array(inputs);
    this.ySum = new Float64Array(outputs);
    this.xx = keep(zeros([inputs, inputs]));
    this.xy = keep(zeros([inputs, outputs]));
  }

  /** @param x `[rows, inputs]`, @param y `[rows, outputs]` */
  add(x: Float32Array, y: Float32Array): void {
    const { inputs, outputs } = this;
    const rows = x.length / inputs;
    for (let from = 0; from < rows; ) {
      const end = Math.min(rows, from + this.capacity - this.waiting);
      this.x.set(x.subarray(from * inputs, end * inputs), this.waiting * inputs);
      this.y.set(y.subarray(from * outputs, end * outputs), this.waiting * outputs);
      this.waiting += end - from;
      from = end;
      if (this.waiting === this.capacity) this.flush();
    }
  }

  private flush(): void {
    const { waiting, inputs, outputs } = this;
    if (waiting === 0) return;
    const x = this.x.slice(0, waiting * inputs);
    const y = this.y.slice(0, waiting * outputs);
    if (this.count === 0) {
      meanRow(x, this.xShift);
      meanRow(y, this.yShift);
    }
    shiftAndSum(x, this.xShift, this.xSum);
    shiftAndSum(y, this.yShift, this.ySum);
    const [xx, xy] = tidy(() => {
      const rows = tensor2d(x, [waiting, inputs]);
      return [
        keep(add(this.xx, matMul(rows, rows, true)) as Tensor2D),
        keep(add(this.xy, matMul(rows, tensor2d(y, [waiting, outputs]), true)) as Tensor2D),
      ] as const;
    });
    this.dispose();
    this.xx = xx;
    this.xy = xy;
    this.count += waiting;
    this.waiting = 0;
  }

  /** Means and covariances of all rows. The accumulator is used up. */
  async finish(): Promise<LayerStatistics> {
    this.flush();
    const { inputs, outputs, count } = this;
    const [xx, xy] = await Promise.all([this.xx.data(), this.xy.data()]);
    const dx = this.xSum.map((sum) => sum / count);
    const dy = this.ySum.map((sum) => sum / count);
    const covariance = centred(matrix(inputs, inputs, Float32Array.from(xx)), count, dx, dx);
    const crossCovariance = centred(matrix(inputs, outputs, Float32Array.from(xy)), count, dx, dy);
    this.dispose();
    return {
      inputMean: dx.map((d, n) => d + this.xShift[n]!),
      outputMean: dy.map((d, n) => d + this.yShift[n]!),
      covariance,
      crossCovariance,
    };
  }

  dispose(): void {
    this.xx.dispose();
    this.xy.dispose();
  }
}

function meanRow(values: Float32Array, mean: Float64Array): void {
  const width = mean.length;
  const rows = values.length / width;
  for (let r = 0; r < rows; r++) for (let c = 0; c < width; c++) mean[c]! += values[r * width + c]!;
  for (let c = 0; c < width; c++) mean[c]! /= rows;
}

/** Takes the shift off every row and adds what is left to the sums. */
function shiftAndSum(values: Float32Array, shift: Float64Array, sums: Float64Array): void {
  const width = shift.length;
  for (let at = 0; at < values.length; at += width) {
    for (let c = 0; c < width; c++) {
      const value = Math.fround(values[at + c]! - shift[c]!);
      values[at + c] = value;
      sums[c]! += value;
    }
  }
}

function centred(sums: Matrix, count: number, a: Float64Array, b: Float64Array): Matrix {
  const { rows, columns, data } = sums;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) data[r * columns + c] = data[r * columns + c]! / count - a[r]! * b[c]!;
  }
  return sums;
}
