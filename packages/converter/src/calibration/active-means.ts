/**
 * Means where they count. Behind 'relu' only what is positive goes on, and rounding errors there need not be 0 on average when they are so over all
 * pixels: errors vary with the outputs themselves. What is made equal here is the mean over the pixels that the activation lets through, in the
 * quantized network or in the float one.
 */

/** Pixels that are looked at, about, for each channel. */
const PIXELS = 25_000;

/** Batches of pictures that are looked at, at least: what pixels of one picture have in common must not decide. */
const BATCHES = 8;

/** Pixels below which a channel's mean says little; it is believed in proportion. */
const FEW = 20;

export class ActiveMeans {
  private readonly sums: Float64Array;
  private readonly counts: Float64Array;

  /** @param ceiling infinite for 'relu', 6 for 'relu6' */
  constructor(
    private readonly channels: number,
    private readonly ceiling: number,
  ) {
    this.sums = new Float64Array(channels);
    this.counts = new Float64Array(channels);
  }

  /**
   * @param found outputs in the quantized network before the activation, `[pixels, channels]`
   * @param wanted outputs in the float network behind the activation, likewise
   * @param step between pixels that are looked at
   */
  add(found: Float32Array, wanted: Float32Array, step: number): void {
    const { channels, ceiling, sums, counts } = this;
    const pixels = found.length / channels;
    for (let pixel = 0; pixel < pixels; pixel += step) {
      const from = pixel * channels;
      for (let c = 0; c < channels; c++) {
        const is = found[from + c]!;
        const should = wanted[from + c]!;
        // Without a branch, which nothing could foresee.
        const passes = Number(Math.max(is, should) > 0) & Number(Math.min(is, should) < ceiling);
        sums[c]! += passes * (should - is);
        counts[c]! += passes;
      }
    }
  }

  /** What to add to every channel's bias. */
  shifts(): Float64Array {
    return this.sums.map((sum, c) => sum / (this.counts[c]! + FEW));
  }
}

/** Which batches, and which of their pixels, are enough: every how many. */
export function sparsely(pixelsPerBatch: number, batches: number): { batchStep: number; pixelStep: number } {
  const spare = Math.max(1, (pixelsPerBatch * batches) / PIXELS);
  const batchStep = Math.max(1, Math.min(Math.floor(spare), Math.floor(batches / BATCHES)));
  // No multiple of a picture's width, or the same columns would be seen in every row.
  const pixelStep = Math.max(1, Math.floor(spare / batchStep)) | 1;
  return { batchStep, pixelStep };
}
