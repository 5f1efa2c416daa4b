/** What the end of a convolution does (epilogue.cuh), and what it can. */
import type { Activation, BfpFormat, ConvGeometry } from '@dsconv/core';
import { CHUNK, type ImageLayout } from '../layout/image.js';

/** Codes in dsconv_numbers.cuh. */
export const ACTIVATION: Record<Activation, number> = {
  linear: 0,
  relu: 1,
  relu6: 2,
  silu: 3,
  leakyrelu: 4,
  prelu: 5,
};

/** `round(activation(sum + bias + residual))`, and where it goes. */
export interface Epilogue {
  bias: boolean;
  /** Read as float32, or from an image for which `readsAsResidual` is true. */
  residual: 'float' | ImageLayout | null;
  activation: Activation;
  leakyreluAlpha: number;
  /** The grid that the result is rounded to before it is written, in either form. */
  round: Required<BfpFormat> | null;
  writesFloat: boolean;
  /** The image that is written; its grid is `round`. */
  image: ImageLayout | null;
}

/** Whether a residual can be read from this image: four channels are four bytes side by side. */
export function readsAsResidual({ groups, blocks, blockSize }: ImageLayout): boolean {
  return groups === 1 && (blocks === 1 || blockSize % 4 === 0);
}

/**
 * Whether the threads that make a tile of `columns` channels can round it to a grid themselves, and write its image where that is asked for: they hold whole
 * blocks then, one of all channels or of a power of two, and in an image blocks follow each other without gaps.
 */
export function roundsInTile(
  { blockSize, groups }: Required<BfpFormat>,
  { outChannels, groups: convolutionGroups }: ConvGeometry,
  columns: number,
  depthwise: boolean,
  toImage: boolean,
): boolean {
  if (groups !== 1 || (convolutionGroups !== 1 && !depthwise)) return false;
  if (blockSize >= outChannels) return outChannels <= columns;
  const powerOfTwo = (blockSize & (blockSize - 1)) === 0;
  return powerOfTwo && blockSize >= (toImage ? CHUNK : 4) && blockSize <= columns;
}
