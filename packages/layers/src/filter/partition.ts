/** Which weights of a filter share a scale. NUMERICS §2. */
import { type FilterKind, PER_CHANNEL_BELOW, type ScaleFormat } from '@dsconv/core';

export type FilterShape = readonly [number, number, number, number];

export interface Partition {
  kind: FilterKind;
  /** conv2d: `[kh, kw, I, O]`; depthwise: `[kh, kw, C, multiplier]`. */
  shape: FilterShape;
  /** Depth of a block, `B`. */
  blockSize: number;
  /** One scale per output channel; always so for depthwise filters. */
  perChannel: boolean;
  /** How scales and shifts are stored. Forward passes see them as they will be stored. */
  scaleFormat: ScaleFormat;
}

export function partitionOf(
  kind: FilterKind,
  shape: FilterShape,
  blockSize: number,
  perChannel?: boolean,
  scaleFormat: ScaleFormat = 'float16',
): Partition {
  return {
    kind,
    shape,
    blockSize,
    perChannel: kind === 'depthwise' || (perChannel ?? shape[2] < PER_CHANNEL_BELOW),
    scaleFormat,
  };
}

/** A filter as groups of rows: `[groups, rows, outputs]`, one scale per group and output. */
export interface Grouping {
  /** Rows `[kh * kw * depth]` of `outputs` weights each. */
  rows: number;
  outputs: number;
  /** Depth of one tap. */
  depth: number;
  /** Blocks of one tap; 0 means that all rows share their scales. */
  blocks: number;
}

export function groupingOf({ kind, shape, blockSize, perChannel }: Partition): Grouping {
  const [kh, kw, inner, outer] = shape;
  const depthwise = kind === 'depthwise';
  const depth = depthwise ? 1 : inner;
  return {
    rows: kh * kw * depth,
    outputs: depthwise ? inner * outer : outer,
    depth,
    blocks: perChannel ? 0 : Math.ceil(inner / blockSize),
  };
}

/** Shape of the scales: `[kh, kw, ceil(I/B), O]`, or `[O]` per channel. */
export function scaleShape(partition: Partition): number[] {
  const { outputs, blocks } = groupingOf(partition);
  return partition.perChannel ? [outputs] : [partition.shape[0], partition.shape[1], blocks, outputs];
}

/** Weights that one scale serves, the short last blocks counted as whole ones. */
export function weightsPerScale(partition: Partition): number {
  const { rows, depth } = groupingOf(partition);
  return partition.perChannel ? rows : Math.min(partition.blockSize, depth);
}
