/** How near numbers come to what they should be. */

export interface Similarity {
  /** `10 log10(Σy² / Σ(y-ŷ)²)`; null where nothing was lost. */
  snrDb: number | null;
  /** `Σyŷ / √(Σy² Σŷ²)`, from -1 to 1; null where one of them is all zeros. */
  cosine: number | null;
}

/** Sums over numbers that arrive in pieces. */
export class SimilaritySums {
  private signal = 0;
  private noise = 0;
  private product = 0;
  private found = 0;

  add(exact: ArrayLike<number>, approximate: ArrayLike<number>): this {
    let signal = 0;
    let noise = 0;
    let product = 0;
    let found = 0;
    for (let n = 0; n < exact.length; n++) {
      const y = exact[n]!;
      const z = approximate[n]!;
      signal += y * y;
      noise += (y - z) * (y - z);
      product += y * z;
      found += z * z;
    }
    this.signal += signal;
    this.noise += noise;
    this.product += product;
    this.found += found;
    return this;
  }

  finish(): Similarity {
    const { signal, noise, product, found } = this;
    const norm = Math.sqrt(signal * found);
    return {
      snrDb: noise === 0 ? null : 10 * Math.log10(signal / noise),
      cosine: norm === 0 ? null : Math.min(1, product / norm),
    };
  }
}
