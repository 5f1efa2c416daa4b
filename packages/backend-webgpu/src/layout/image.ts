/** The image of a BFP tensor on the GPU: packed mantissas and their scales in one buffer of 32-bit words. */
import type { BfpFormat } from '@dsconv/core';

/**
 * Rows of channels (pixels) as words: mantissas `[pixel][group][word]`, four to a word, each block beginning with a new word; from `scalesAt` on
 * the scales `[pixel][group][block]` as the bits of float32 numbers.
 */
export interface ImageLayout {
  readonly pixels: number;
  readonly channels: number;
  readonly bits: number;
  readonly blockSize: number;
  readonly groups: number;
  /** Blocks of one group. */
  readonly blocks: number;
  /** Words of a full block, of a group, of a pixel. */
  readonly blockWords: number;
  readonly groupWords: number;
  readonly pixelWords: number;
  /** Where the scales begin, in words. */
  readonly scalesAt: number;
  readonly byteLength: number;
}

/** Lays out an image of `pixels` rows of `channels`. */
export function imageLayout(pixels: number, channels: number, format: BfpFormat): ImageLayout {
  const { bits, groups = 1 } = format;
  const depth = channels / groups;
  // A block longer than the depth is as long as the depth.
  const blockSize = Math.min(format.blockSize, depth);
  const blocks = Math.ceil(depth / blockSize);
  const blockWords = Math.ceil(blockSize / 4);
  const lastWords = Math.ceil((depth - (blocks - 1) * blockSize) / 4);
  const groupWords = (blocks - 1) * blockWords + lastWords;
  const pixelWords = groups * groupWords;
  const scalesAt = pixels * pixelWords;
  const byteLength = 4 * (scalesAt + pixels * groups * blocks);
  return {
    pixels,
    channels,
    bits,
    blockSize,
    groups,
    blocks,
    blockWords,
    groupWords,
    pixelWords,
    scalesAt,
    byteLength,
  };
}

/** Whether two images of equally many pixels hold the same numbers at the same places. */
export function sameLayout(a: ImageLayout, b: ImageLayout): boolean {
  return (
    a.channels === b.channels && a.bits === b.bits && a.blockSize === b.blockSize && a.groups === b.groups
  );
}
