/** Timing of synchronous work. */

/** A sample lasts at least this long, milliseconds; short work is repeated inside it. */
const MIN_SAMPLE = 4;
const MAX_REPEATS = 1000;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Milliseconds of one run, over `repeats` runs. */
export function sample(run: () => void, repeats: number): number {
  const start = performance.now();
  for (let n = 0; n < repeats; n++) run();
  return (performance.now() - start) / repeats;
}

/** Warms up (packing, compilation, first touch of memory), then says how often to run in one sample. */
export function warmUp(run: () => void): number {
  run();
  run();
  const once = sample(run, 1);
  return Math.min(MAX_REPEATS, Math.max(1, Math.ceil(MIN_SAMPLE / Math.max(once, 1e-4))));
}

/** Work for an amount of time, as a rate: 10^9 multiply-accumulates per second. */
export function gmacs(macs: number, milliseconds: number): number {
  return macs / (milliseconds * 1e6);
}
