/** What an activation makes of a normally distributed value. */

/** Of every channel. */
export interface Moments {
  mean: Float64Array;
  variance: Float64Array;
}

/**
 * Mean and variance of `min(max(z, 0), ceiling)` with z normally distributed, channel by channel.
 *
 * @param ceiling infinite for 'relu', 6 for 'relu6'
 */
export function rectified({ mean, variance }: Moments, ceiling: number): Moments {
  const out = { mean: new Float64Array(mean.length), variance: new Float64Array(mean.length) };
  for (let c = 0; c < mean.length; c++) {
    const [first, second] = clippedMoments(mean[c]!, Math.sqrt(variance[c]!), ceiling);
    out.mean[c] = first;
    out.variance[c] = Math.max(0, second - first * first);
  }
  return out;
}

/** Where a standard normal variable is taken when no formula is at hand: within 6 deviations, in steps of a tenth. */
const NODES = Float64Array.from({ length: 121 }, (_, n) => (n - 60) / 10);

/** Mean and variance of a function of a normally distributed value, channel by channel, by numeric integration. */
export function mapped({ mean, variance }: Moments, f: (z: number) => number): Moments {
  const weights = NODES.map(normalDensity);
  const total = weights.reduce((a, b) => a + b, 0);
  const out = { mean: new Float64Array(mean.length), variance: new Float64Array(mean.length) };
  for (let c = 0; c < mean.length; c++) {
    const deviation = Math.sqrt(variance[c]!);
    let [first, second] = [0, 0];
    for (let n = 0; n < NODES.length; n++) {
      const y = f(mean[c]! + deviation * NODES[n]!);
      first += (weights[n]! / total) * y;
      second += (weights[n]! / total) * y * y;
    }
    out.mean[c] = first;
    out.variance[c] = Math.max(0, second - first * first);
  }
  return out;
}

/** E[y] and E[y²]. */
function clippedMoments(mean: number, deviation: number, ceiling: number): [number, number] {
  if (deviation < 1e-12) {
    const value = Math.min(Math.max(mean, 0), ceiling);
    return [value, value * value];
  }
  const [a, b] = [-mean / deviation, (ceiling - mean) / deviation];
  const above = ceiling === Infinity ? 0 : 1 - normalIntegral(b);
  const between = 1 - above - normalIntegral(a);
  const [atFloor, atCeiling] = [normalDensity(a), ceiling === Infinity ? 0 : normalDensity(b)];
  const clipped = ceiling === Infinity ? 0 : ceiling;
  const first = mean * between + deviation * (atFloor - atCeiling) + clipped * above;
  const second =
    (mean * mean + deviation * deviation) * between +
    deviation * (mean * atFloor - (mean + clipped) * atCeiling) +
    clipped * clipped * above;
  return [first, second];
}

const normalDensity = (z: number): number => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);

/** Abramowitz and Stegun, formula 26.2.17; wrong by at most 7.5e-8. */
function normalIntegral(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const series =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const upper = normalDensity(z) * series;
  return z >= 0 ? 1 - upper : upper;
}
