/** Where each value of a plan lives: values that never live at the same time share memory. */

/** A piece of memory that is needed from step `first` to step `last`, both included. */
export interface Lifetime {
  bytes: number;
  first: number;
  last: number;
}

export interface Arena {
  /** Byte offset of each lifetime, in the order given. */
  offsets: number[];
  /** Bytes of the whole. */
  bytes: number;
  /** Largest sum of bytes that are needed at the same step: no arena can be smaller. */
  liveBytes: number;
}

/** Offsets are multiples of this, for vector loads and to keep tensors off each other's cache lines. */
const ALIGNMENT = 64;

/**
 * Places lifetimes, the largest first, each at the lowest offset where it fits between those it overlaps in time. Not optimal, but within a few per cent of
 * the lower bound on convolutional networks.
 */
export function layOutArena(lifetimes: readonly Lifetime[]): Arena {
  const order = lifetimes.map((_, n) => n).sort((a, b) => lifetimes[b]!.bytes - lifetimes[a]!.bytes || a - b);
  const offsets = new Array<number>(lifetimes.length).fill(0);
  const placed: number[] = [];
  let bytes = 0;
  for (const n of order) {
    const { bytes: size, first, last } = lifetimes[n]!;
    const neighbours = placed
      .filter((m) => lifetimes[m]!.first <= last && lifetimes[m]!.last >= first)
      .sort((a, b) => offsets[a]! - offsets[b]!);
    let at = 0;
    for (const m of neighbours) {
      if (at + size <= offsets[m]!) break;
      at = Math.max(at, align(offsets[m]! + lifetimes[m]!.bytes));
    }
    offsets[n] = at;
    placed.push(n);
    bytes = Math.max(bytes, at + size);
  }
  return { offsets, bytes, liveBytes: largestSum(lifetimes) };
}

function align(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

function largestSum(lifetimes: readonly Lifetime[]): number {
  let largest = 0;
  for (const { first: step } of lifetimes) {
    let sum = 0;
    for (const { bytes, first, last } of lifetimes) if (first <= step && step <= last) sum += bytes;
    largest = Math.max(largest, sum);
  }
  return largest;
}
