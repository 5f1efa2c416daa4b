/** How a layer's weights are distributed, before and after. */
import { plain } from './numbers.js';
import { at } from './svg.js';

const [WIDTH, HEIGHT, BASE] = [440, 150, 126];
const BINS = 80;
/** Standard deviations shown to either side; what lies beyond is counted in the outermost bins. */
const REACH = 4;

/**
 * An SVG element, its colours CSS variables as in {@link PALETTE}.
 *
 * @param exact float weights
 * @param found what is stored in their place
 */
export function weightHistogram(exact: Float32Array, found: Float32Array): string {
  const reach = REACH * deviation(exact) || 1;
  const [before, after] = [exact, found].map((values) => counts(values, reach)) as [number[], number[]];
  // A few values of a quantized filter can hold most weights: the scale is the float weights'.
  const top = Math.max(...before) * 1.25;
  const x = (bin: number): string => at((bin / BINS) * WIDTH);
  const y = (count: number): string => at(BASE - Math.min(1, count / top) * (BASE - 6));
  const area = before.map((count, bin) => `L${x(bin)} ${y(count)}L${x(bin + 1)} ${y(count)}`).join('');
  const bars = after
    .map((count, bin) =>
      count === 0
        ? ''
        : `<rect x="${at((bin / BINS) * WIDTH + 1)}" y="${y(count)}" width="${at(WIDTH / BINS - 2)}" height="${at(BASE - Number(y(count)))}"/>`,
    )
    .join('');
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Histogram of ${exact.length} weights between ${plain(-reach)} and ${plain(reach)}: float as an area, quantized as bars." font-size="11">
<path d="M0 ${BASE}${area}L${WIDTH} ${BASE}z" fill="var(--fill)" stroke="var(--a)"/>
<g fill="var(--b)" opacity="0.75">${bars}</g>
<line x1="0" x2="${WIDTH}" y1="${BASE}" y2="${BASE}" stroke="var(--line)"/>
<g fill="var(--soft)"><text x="0" y="${BASE + 16}">${plain(-reach)}</text><text x="${WIDTH / 2}" y="${BASE + 16}" text-anchor="middle">0</text><text x="${WIDTH}" y="${BASE + 16}" text-anchor="end">${plain(reach)}</text></g>
</svg>`;
}

function deviation(values: Float32Array): number {
  let [sum, squares] = [0, 0];
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  return Math.sqrt(Math.max(0, squares / values.length - (sum / values.length) ** 2));
}

function counts(values: Float32Array, reach: number): number[] {
  const bins = new Array<number>(BINS).fill(0);
  for (const value of values) {
    const bin = Math.floor(((value / reach + 1) / 2) * BINS);
    bins[Math.min(BINS - 1, Math.max(0, bin))]!++;
  }
  return bins;
}
