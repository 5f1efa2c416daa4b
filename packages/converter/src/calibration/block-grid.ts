/** Which scale serves which weight of a filter seen as a matrix `[taps · depth, outputs]`. */
import type { LayerSpec } from '@dsconv/models';

/** The rows of a filter's matrix cut into blocks that share a scale; blocks follow each other in the order of the rows. */
export interface BlockGrid {
  /** Weights of one output channel, `kh · kw · depth`. */
  rows: number;
  /** Block of every row. */
  blockOf: Int32Array;
  /** First row of every block, and the end. */
  starts: Int32Array;
  /** Scales of one output channel. */
  blocks: number;
}

/** @param perChannel one scale for all rows */
export function blockGrid(shape: LayerSpec['shape'], blockSize: number, perChannel: boolean): BlockGrid {
  const [kh, kw, depth] = shape;
  const rows = kh * kw * depth;
  const starts: number[] = [];
  if (perChannel) starts.push(0);
  else {
    for (let tap = 0; tap < kh * kw; tap++) {
      for (let i = 0; i < depth; i += blockSize) starts.push(tap * depth + i);
    }
  }
  const blocks = starts.length;
  const blockOf = new Int32Array(rows);
  starts.push(rows);
  for (let b = 0; b < blocks; b++) blockOf.fill(b, starts[b], starts[b + 1]);
  return { rows, blockOf, starts: Int32Array.from(starts), blocks };
}
