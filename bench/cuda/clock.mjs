/** Medians of repeated runs. */

const WARM_UP = 5;

export function summary(times) {
  const sorted = [...times].sort((a, b) => a - b);
  return { min: sorted[0], median: sorted[sorted.length >> 1], max: sorted.at(-1), runs: sorted.length };
}

/** Milliseconds of `run`, which is awaited, by the host's clock. */
export async function timesOf(run, runs) {
  for (let n = 0; n < Math.min(WARM_UP, runs); n++) await run();
  const found = [];
  for (let n = 0; n < runs; n++) {
    const begun = performance.now();
    await run();
    found.push(performance.now() - begun);
  }
  return summary(found);
}
