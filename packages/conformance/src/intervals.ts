/** What a block of outputs may look like after rounding to a BFP grid, when the values before rounding are known within bounds. */

/** Below this exponent a block counts as zero (NUMERICS §3). */
const MIN_EXPONENT = -100;

export class BfpIntervals {
  constructor(
    private readonly reference: Float64Array,
    private readonly bound: Float64Array,
    private readonly first: number,
    private readonly length: number,
    private readonly bits: number,
  ) {}

  /** Indices of elements that no exponent within the bounds explains; for the exponent that explains most. */
  mismatches(output: ArrayLike<number>): number[] {
    let best: number[] | undefined;
    for (const exponent of this.exponents()) {
      const wrong = this.mismatchesAt(exponent, output);
      if (best === undefined || wrong.length < best.length) best = wrong;
    }
    return best!;
  }

  /** Exponents the block may have: of its maximum at the least and at the most. NaN stands for a block that is not finite. */
  private exponents(): number[] {
    let least = 0;
    let most = 0;
    for (let n = this.first; n < this.first + this.length; n++) {
      if (!Number.isFinite(this.reference[n]!)) return [NaN];
      const size = Math.abs(this.reference[n]!);
      least = Math.max(least, size - this.bound[n]!);
      most = Math.max(most, size + this.bound[n]!);
    }
    const from = Math.max(exponentOf(least), MIN_EXPONENT - 1);
    const to = Math.max(exponentOf(most), MIN_EXPONENT - 1);
    return Array.from({ length: to - from + 1 }, (_, n) => from + n);
  }

  private mismatchesAt(exponent: number, output: ArrayLike<number>): number[] {
    const scale = exponent < MIN_EXPONENT ? 0 : 2 ** (exponent - (this.bits - 2));
    const wrong: number[] = [];
    for (let n = this.first; n < this.first + this.length; n++) {
      const value = output[n]!;
      if (Number.isNaN(exponent)) {
        if (!Number.isNaN(value)) wrong.push(n);
      } else if (scale === 0) {
        if (value !== 0) wrong.push(n);
      } else {
        const lowest = this.mantissa((this.reference[n]! - this.bound[n]!) / scale);
        const highest = this.mantissa((this.reference[n]! + this.bound[n]!) / scale);
        const found = value / scale;
        if (!(Number.isInteger(found) && found >= lowest && found <= highest)) wrong.push(n);
      }
    }
    return wrong;
  }

  private mantissa(value: number): number {
    const limit = 2 ** (this.bits - 1) - 1;
    const below = Math.floor(value);
    const rest = value - below;
    const rounded = rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
    return Math.min(limit, Math.max(-limit, rounded));
  }
}

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/** `floor(log2 |value|)` from the bits of the double; zero gives -1023. */
function exponentOf(value: number): number {
  double[0] = value;
  return ((words[1]! >>> 20) & 0x7ff) - 1023;
}
