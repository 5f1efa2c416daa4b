/**
 * Fitting one block: the integers and the scale (and bias) that come nearest to the weights in the least-squares sense.
 * Works on a gathered, contiguous block so that the quantizer's loops over layouts stay apart from the arithmetic.
 */
import { roundHalfEven } from './rounding.js';

/** `absmax` as the authors released it; `search` over clip ratios and both signs of the extreme. NUMERICS §2. */
export type QuantizeMethod = 'absmax' | 'search';

/** Clip ratios of the search: 1.0 first, so that `absmax` is among the candidates. */
const CLIP_RATIOS: readonly number[] = [1, ...Array.from({ length: 24 }, (_, n) => 1.1 - (0.75 * n) / 23)];

/** Relative changes of the best scale that the search tries last; 0 rounds once more against the fitted scale. */
const REFINEMENTS: readonly number[] = [0, 0.016, -0.016, 0.008, -0.008, 0.004, -0.004, 0.002, -0.002, 0];

/** Rounds a fitted scale to the number that will be stored, float16 or float32. */
export type RoundScale = (value: number) => number;

/**
 * Reusable workspace for blocks of up to `capacity` weights. After `fit`, `q[0 … length)` holds the integers and `scale` and
 * `bias` the fitted shifters, already rounded to their storage format.
 */
export class BlockFitter {
  readonly q: Int8Array;
  scale = 0;
  bias = 0;
  /** `Σ (w - (scale*q + bias))²` of the last fit. */
  error = 0;
  private readonly trial: Int8Array;
  private readonly low: number;
  private readonly high: number;
  private trialScale = 0;
  private trialBias = 0;

  constructor(
    capacity: number,
    bits: number,
    private readonly method: QuantizeMethod,
    private readonly withBias: boolean,
    private readonly round: RoundScale,
  ) {
    this.q = new Int8Array(capacity);
    this.trial = new Int8Array(capacity);
    this.low = -(2 ** (bits - 1));
    this.high = -this.low - 1;
  }

  /** @param w the block's weights, finite, `w[0 … length)` */
  fit(w: Float64Array, length: number): void {
    let extreme = 0;
    let min = Infinity;
    let max = -Infinity;
    for (let i = 0; i < length; i++) {
      const value = w[i]!;
      if (Math.abs(value) > Math.abs(extreme)) extreme = value;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    this.error = Infinity;
    if (extreme === 0) {
      this.q.fill(0, 0, length);
      this.scale = 0;
      this.bias = 0;
      this.error = 0;
      return;
    }
    // The signed extreme maps to -2^(b-1), the end of the range that reaches further.
    if (this.method === 'absmax') {
      this.attempt(w, length, extreme / this.low, 0);
      return;
    }
    for (const ratio of CLIP_RATIOS) {
      this.attempt(w, length, (ratio * extreme) / this.low, 0);
      this.attempt(w, length, (ratio * -extreme) / this.low, 0);
      if (this.withBias && max > min) {
        const step = (ratio * (max - min)) / (this.high - this.low);
        this.attempt(w, length, step, (max + min) / 2 + step / 2);
      }
    }
    // Around the best scale the error is a jagged function of it. A few closer looks win what the coarse grid misses, most at 8 bits,
    // where neighbouring grid points round many weights differently.
    for (const change of REFINEMENTS) {
      if (this.scale !== 0) this.attempt(w, length, this.scale * (1 + change), this.bias);
    }
  }

  /** Rounds to a grid, refits scale and bias to the integers found, keeps the result when it is the best so far. */
  private attempt(w: Float64Array, length: number, step: number, offset: number): void {
    const { low, high, trial } = this;
    const inverse = 1 / step;
    // A step so small that its inverse overflows: the block is zero for all practical purposes.
    if (!Number.isFinite(inverse)) {
      this.attemptZero(w, length);
      return;
    }
    for (let i = 0; i < length; i++) {
      const q = roundHalfEven((w[i]! - offset) * inverse);
      trial[i] = q < low ? low : q > high ? high : q;
    }
    this.refit(w, length);
    this.keepIfBetter(w, length);
  }

  private attemptZero(w: Float64Array, length: number): void {
    this.trial.fill(0, 0, length);
    this.trialScale = 0;
    this.trialBias = 0;
    this.keepIfBetter(w, length);
  }

  /** Least squares for the integers in `trial`: the scale alone, or scale and bias jointly. */
  private refit(w: Float64Array, length: number): void {
    let wq = 0;
    let qq = 0;
    let sumQ = 0;
    let sumW = 0;
    for (let i = 0; i < length; i++) {
      const q = this.trial[i]!;
      wq += w[i]! * q;
      qq += q * q;
      sumQ += q;
      sumW += w[i]!;
    }
    if (!this.withBias) {
      this.trialScale = this.round(qq === 0 ? 0 : wq / qq);
      this.trialBias = 0;
      return;
    }
    const determinant = length * qq - sumQ * sumQ;
    const scale = determinant === 0 ? 0 : (length * wq - sumQ * sumW) / determinant;
    this.trialScale = this.round(scale);
    // The bias is fitted to the scale that will be stored, so that it makes up for that rounding too.
    this.trialBias = this.round((sumW - this.trialScale * sumQ) / length);
  }

  private keepIfBetter(w: Float64Array, length: number): void {
    const { trial, trialScale, trialBias } = this;
    let error = 0;
    for (let i = 0; i < length; i++) {
      const difference = w[i]! - (trialScale * trial[i]! + trialBias);
      error += difference * difference;
    }
    if (error < this.error) {
      this.error = error;
      this.scale = trialScale;
      this.bias = trialBias;
      for (let i = 0; i < length; i++) this.q[i] = trial[i]!;
    }
  }
}
