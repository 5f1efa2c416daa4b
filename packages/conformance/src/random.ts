/**
 * The generator behind every case: mulberry32 (Tommy Ettinger's 32-bit generator), integer arithmetic only, so that the same seed gives the
 * same numbers in every engine. Nothing here uses Math.log, Math.cos or the like, whose last bit is left to the engine.
 */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** Uniform in [0, 2^32). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** Uniform in [0, 1), a multiple of 2^-32. */
  uniform(): number {
    return this.next() / 2 ** 32;
  }

  /** Whole number, `low` and `high` included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low + 1));
  }

  /** 1 or -1. */
  sign(): number {
    return this.next() >= 2 ** 31 ? 1 : -1;
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)]!;
  }

  /** Bell-shaped between -2 and 2 with a deviation of 0.58: the sum of four uniform numbers, which needs no logarithm. */
  bell(): number {
    return this.uniform() + this.uniform() + this.uniform() + this.uniform() - 2;
  }
}

/** FNV-1a of a string: the seed of a case from its name, and of each tensor from the case's seed. */
export function hashName(name: string, seed = 0x811c9dc5): number {
  let hash = seed >>> 0;
  for (let n = 0; n < name.length; n++) {
    hash = Math.imul(hash ^ name.charCodeAt(n), 0x01000193) >>> 0;
  }
  return hash;
}
