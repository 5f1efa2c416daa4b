import { largest } from './predict.js';

const DEPTH = 5;

/** Counts for how many pictures the true class was among the first. */
export class Scores {
  private images = 0;
  private unlabelled = 0;
  /** `hits[k]`: pictures whose class came at place `k`. */
  private readonly hits = new Array<number>(DEPTH).fill(0);

  add(probabilities: Float32Array, label: number | null): void {
    this.images++;
    if (label === null) {
      this.unlabelled++;
      return;
    }
    const place = largest(probabilities, DEPTH).indexOf(label);
    if (place >= 0 && !Number.isNaN(probabilities[label]!)) this.hits[place]!++;
  }

  /** Part of the pictures whose class was among the first `k`, at most 5; null without labels. */
  top(k: number): number | null {
    if (this.images === 0 || this.unlabelled > 0) return null;
    return this.hits.slice(0, k).reduce((sum, hits) => sum + hits, 0) / this.images;
  }
}
