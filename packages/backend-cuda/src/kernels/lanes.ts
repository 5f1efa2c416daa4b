/** How the blocks of reductions are laid over [outer, n, inner]. */
import { powerOfTwo } from './axes.js';

/** A tensor's axes around the one that is reduced. */
export interface Lines {
  outer: number;
  n: number;
  inner: number;
}

/** See ReduceParams of kernels/params/reduce.h. */
export interface Lanes {
  lanesInner: number;
  lanesN: number;
  /** Pieces of n, each for blocks of its own, and the elements of each but the last. */
  parts: number;
  chunk: number;
  blocks: number;
}

const THREADS = 256;

/** As many lanes along inner read whole lines of memory. */
const LINE = 32;

/** Blocks that fill a large device; the same on all devices, so that sums are the same on all of them. */
const ENOUGH_BLOCKS = 512;

/** Elements along n that are worth a part. */
const PART = 1024;

/** What one thread reads at least, where there are so many. */
const READS = 2;

export function lanesFor({ outer, n, inner }: Lines): Lanes {
  let lanesInner = Math.min(powerOfTwo(inner), LINE);
  const lanesN = Math.min(powerOfTwo(n / READS), THREADS / lanesInner);
  while (lanesInner < inner && lanesInner * lanesN < THREADS) lanesInner *= 2;
  const lanesOuter = THREADS / (lanesInner * lanesN);
  const blocks = Math.ceil(inner / lanesInner) * Math.ceil(outer / lanesOuter);
  const wanted = Math.max(1, Math.min(Math.ceil(ENOUGH_BLOCKS / blocks), Math.floor(n / PART)));
  const chunk = Math.ceil(n / wanted);
  const parts = Math.ceil(n / chunk);
  return { lanesInner, lanesN, parts, chunk, blocks: blocks * parts };
}
