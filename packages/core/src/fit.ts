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

/** Share of the sums that an error from sums may be off by: thousands of roundings of 2^-53. */
const CANCELLATION = 1e-12;

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
  /** Σ w and Σ w² of the block. */
  private sum = 0;
  private squares = 0;

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
    this.sum = 0;
    this.squares = 0;
    for (let i = 0; i < length; i++) {
      const value = w[i]!;
      this.sum += value;
      this.squares += value * value;
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

  /**
   * Rounds to a grid, refits scale and bias to the integers found, keeps the result when it is the best so far. Mostly one pass over the block: the error follows
   * from the sums that the fit needs anyway, but for digits that cancel out, so that only promising attempts are looked at closely.
   */
  private attempt(w: Float64Array, length: number, step: number, offset: number): void {
    const { low, high, trial } = this;
    const inverse = 1 / step;
    // A step so small that its inverse overflows: the block is zero for all practical purposes.
    const zero = !Number.isFinite(inverse);
    let wq = 0;
    let qq = 0;
    let sumQ = 0;
    if (zero) trial.fill(0, 0, length);
    else {
      for (let i = 0; i < length; i++) {
        const value = w[i]!;
        const rounded = roundHalfEven((value - offset) * inverse);
        const q = rounded < low ? low : rounded > high ? high : rounded;
        trial[i] = q;
        wq += value * q;
        qq += q * q;
        sumQ += q;
      }
    }
    let scale = 0;
    let bias = 0;
    if (!this.withBias) scale = this.round(qq === 0 ? 0 : wq / qq);
    else if (!zero) {
      const determinant = length * qq - sumQ * sumQ;
      scale = this.round(determinant === 0 ? 0 : (length * wq - sumQ * this.sum) / determinant);
      // The bias is fitted to the scale that will be stored, so that it makes up for that rounding too.
      bias = this.round((this.sum - scale * sumQ) / length);
    }
    const [scaled, shifted] = [scale * scale * qq, length * bias * bias];
    const estimate =
      this.squares - 2 * (scale * wq + bias * this.sum) + scaled + 2 * scale * bias * sumQ + shifted;
    if (estimate > this.error + CANCELLATION * (this.squares + scaled + shifted)) return;
    const error = this.errorOf(w, length, scale, bias);
    if (error < this.error) {
      this.error = error;
      this.scale = scale;
      this.bias = bias;
      this.q.set(length === trial.length ? trial : trial.subarray(0, length));
    }
  }

  /** `Σ (w - (scale*q + bias))²` of the integers in `trial`. */
  private errorOf(w: Float64Array, length: number, scale: number, bias: number): number {
    const { trial } = this;
    let error = 0;
    for (let i = 0; i < length; i++) {
      const difference = w[i]! - (scale * trial[i]! + bias);
      error += difference * difference;
    }
    return error;
  }
}
