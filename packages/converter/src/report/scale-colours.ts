/** Colours for the scales of blocks, in a terminal's report as on a page. */

/** What is smaller than the largest scales by more than this has the darkest colour. */
const MOST_RATIO = 1000;

/** Dark blue to yellow, even steps of lightness: Smith and van der Walt's viridis, public domain. */
const VIRIDIS = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
] as const;

/**
 * The scales that the ends of the colours stand for, such that one channel that is all but dead does not take the colours from all others.
 *
 * @param scales magnitudes; zeros do not count
 */
export function scaleRange(scales: Float32Array): { low: number; high: number } {
  const sorted = scales.filter((scale) => scale > 0).sort();
  const quantile = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? 1;
  const high = quantile(0.99);
  return { low: Math.max(quantile(0.01), high / MOST_RATIO), high };
}

/** The colour of a scale above 0, by its logarithm. */
export function scaleColour(scale: number, { low, high }: { low: number; high: number }): number[] {
  return colour(Math.log(scale / low) / (Math.log(high / low) || 1));
}

/** Red, green, blue and full opacity for a place from 0 to 1. */
export function colour(place: number): number[] {
  const at = Math.min(1, Math.max(0, place)) * (VIRIDIS.length - 1);
  const first = Math.min(VIRIDIS.length - 2, Math.floor(at));
  const [from, to] = [VIRIDIS[first]!, VIRIDIS[first + 1]!];
  return [...from.map((value, c) => Math.round(value + (to[c]! - value) * (at - first))), 255];
}

/** The colours from low to high as a CSS gradient. */
export const SCALE_GRADIENT = `linear-gradient(90deg, ${VIRIDIS.map((rgb) => `rgb(${rgb.join(' ')})`).join(', ')})`;
