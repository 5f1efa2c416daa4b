/** The image of a BFP tensor on the device: mantissas and their scales in one buffer. */
import type { BfpFormat } from '@dsconv/core';

/** Depths of one tensor core product, and so the bytes to a multiple of which every block is filled up with zeros. */
export const CHUNK = 32;

/** Where the scales begin is a multiple of this. */
const SCALES_ALIGNMENT = 256;

/**
 * Rows of channels (pixels): mantissas int8 `[pixel][group][block][blockBytes]`, each block followed by zeros up to a multiple of 32 bytes; from `scalesAt`
 * on the scales, float32 `[pixel][group][block]`. They are stored times 2^-24, which is exact: a whole number that is added to 1.5 * 2^23 can then be scaled
 * in one operation without overflow (dsconv_mma.cuh), and whoever reads a scale multiplies it, or what it scales, with 2^24.
 */
export interface ImageLayout {
  readonly pixels: number;
  readonly channels: number;
  readonly bits: number;
  /** Channels of a full block; at most those of a group. */
  readonly blockSize: number;
  readonly groups: number;
  /** Blocks of one group. */
  readonly blocks: number;
  /** Bytes of a full block, of a group, of a pixel. */
  readonly blockBytes: number;
  readonly groupBytes: number;
  readonly pixelBytes: number;
  /** Where the scales begin, in bytes. */
  readonly scalesAt: number;
  readonly byteLength: number;
}

/** `value` rounded up to a multiple. */
export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Lays out an image of `pixels` rows of `channels`. */
export function imageLayout(pixels: number, channels: number, format: BfpFormat): ImageLayout {
  const { bits, groups = 1 } = format;
  const depth = channels / groups;
  // A block longer than the depth is as long as the depth.
  const blockSize = Math.min(format.blockSize, depth);
  const blocks = Math.ceil(depth / blockSize);
  const blockBytes = roundUp(blockSize, CHUNK);
  const groupBytes = (blocks - 1) * blockBytes + roundUp(depth - (blocks - 1) * blockSize, CHUNK);
  const pixelBytes = groups * groupBytes;
  const scalesAt = roundUp(pixels * pixelBytes, SCALES_ALIGNMENT);
  const byteLength = scalesAt + 4 * pixels * groups * blocks;
  return {
    pixels,
    channels,
    bits,
    blockSize,
    groups,
    blocks,
    blockBytes,
    groupBytes,
    pixelBytes,
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

/** The format that an image is rounded to. */
export function formatOf({ bits, blockSize, groups }: ImageLayout): Required<BfpFormat> {
  return { bits, blockSize, groups };
}
