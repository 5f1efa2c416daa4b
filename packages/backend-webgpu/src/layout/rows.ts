import type { ImageLayout } from './image.js';

/** The uniform block of bfp_quantize.wgsl, struct Rows. */
export function rowsBlock(layout: ImageLayout): { words: Uint32Array<ArrayBuffer>; count: number } {
  const { pixels, channels, groups, blocks, blockSize, bits, blockWords, groupWords, scalesAt } = layout;
  const count = pixels * groups * blocks;
  const words = Uint32Array.of(
    count,
    blocks,
    channels,
    channels / groups,
    groups,
    blockSize,
    bits,
    blockWords,
    groupWords,
    scalesAt,
    0,
    0,
  );
  return { words, count };
}
