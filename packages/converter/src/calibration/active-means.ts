/**
 * Means where they count. Behind 'relu' only what is positive goes on, and rounding errors there need not be 0 on average when they are so over all
 * pixels: errors vary with the outputs themselves. What is made equal here is the mean over the pixels that the activation lets through, in the
 * quantized network or in the float one.
 */

/** Pixels that are looked at, at most, for each channel. */
const PIXELS = 60_000;

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
   * @param batches that will be added
   */
  add(found: Float32Array, wanted: Float32Array, batches: number): void {
    const { channels, ceiling, sums, counts } = this;
    const pixels = found.length / channels;
    const step = Math.max(1, Math.floor((pixels * batches) / PIXELS));
    for (let pixel = 0; pixel < pixels; pixel += step) {
      const from = pixel * channels;
      for (let c = 0; c < channels; c++) {
        const [is, should] = [found[from + c]!, wanted[from + c]!];
        if ((is <= 0 && should <= 0) || (is >= ceiling && should >= ceiling)) continue;
        sums[c]! += should - is;
        counts[c]!++;
      }
    }
  }

  /** What to add to every channel's bias. */
  shifts(): Float64Array {
    return this.sums.map((sum, c) => sum / (this.counts[c]! + FEW));
  }
}
