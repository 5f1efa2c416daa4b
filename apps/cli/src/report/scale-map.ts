/** The scales of a filter as a picture: one row for each block of a tap, one column for each output channel. */
import { count, plain, scaleColour, scaleRange } from '@dsconv/converter/report';
import type { DSConvFilter } from '@dsconv/core';
import sharp from 'sharp';

/** Columns of a picture; of more channels, neighbours share one. */
const MOST_COLUMNS = 1024;

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
  const range = scaleRange(scales);
  const { low, high } = range;
  const pixels = Buffer.alloc(rows * columns * 4);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const scale = scales[row * outputs + Math.floor((column * outputs) / columns)]!;
      if (scale > 0) pixels.set(scaleColour(scale, range), 4 * (row * columns + column));
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
