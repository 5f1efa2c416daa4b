/** The scales of a filter as a picture: one row for each block of a tap, one column for each output channel. */
import type { DSConvFilter } from '@dsconv/core';
import sharp from 'sharp';
import { count } from '../format.js';
import { plain } from './svg.js';

/** Columns of a picture; of more channels, neighbours share one. */
const MOST_COLUMNS = 1024;

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

export interface ScaleMap {
  /** A PNG of `rows × columns` pixels as an address of its own. */
  source: string;
  rows: number;
  columns: number;
  /** The scales that the ends of the colours stand for. */
  low: number;
  high: number;
  description: string;
}

/** Colours by the logarithm of the scales' magnitude; blocks of zeros stay transparent. */
export async function scaleMap(filter: DSConvFilter): Promise<ScaleMap> {
  const isPerBlock = filter.stored('kds') !== undefined;
  const scales = filter.scales(isPerBlock ? 'kds' : 'cds')!.map(Math.abs);
  const outputs = filter.outChannels;
  const rows = scales.length / outputs;
  const columns = Math.min(outputs, MOST_COLUMNS);
  const sorted = scales.filter((scale) => scale > 0).sort();
  const quantile = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? 1;
  const high = quantile(0.99);
  // A channel that is all but dead would take the colours from all others.
  const low = Math.max(quantile(0.01), high / MOST_RATIO);
  const pixels = Buffer.alloc(rows * columns * 4);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const scale = scales[row * outputs + Math.floor((column * outputs) / columns)]!;
      if (scale > 0)
        pixels.set(colour(Math.log(scale / low) / (Math.log(high / low) || 1)), 4 * (row * columns + column));
    }
  }
  const png = await sharp(pixels, { raw: { width: columns, height: rows, channels: 4 } })
    .png({ compressionLevel: 9 })
    .toBuffer();
  const kind = isPerBlock
    ? `${count(rows, 'block')} × ${outputs} output channels`
    : `${outputs} output channels`;
  return {
    source: `data:image/png;base64,${png.toString('base64')}`,
    rows,
    columns,
    low,
    high,
    description: `Scales of ${kind}, from ${plain(low)} to ${plain(high)}`,
  };
}

/** Red, green, blue and full opacity for a place from 0 to 1. */
function colour(place: number): number[] {
  const at = Math.min(1, Math.max(0, place)) * (VIRIDIS.length - 1);
  const first = Math.min(VIRIDIS.length - 2, Math.floor(at));
  const [from, to] = [VIRIDIS[first]!, VIRIDIS[first + 1]!];
  return [...from.map((value, c) => Math.round(value + (to[c]! - value) * (at - first))), 255];
}

/** The colours from low to high as a CSS gradient. */
export const SCALE_GRADIENT = `linear-gradient(90deg, ${VIRIDIS.map((rgb) => `rgb(${rgb.join(' ')})`).join(', ')})`;
