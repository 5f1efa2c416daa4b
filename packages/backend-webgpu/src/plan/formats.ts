/** Images of a plan: which ones the shaders read (core chooses the format of every value by that). */
import { type ConvolutionStep, DSConvFilter, type FormatRules } from '@dsconv/core';
import { inputImage } from '../kernels/convolution.js';
import { type ImageLayout, imageLayout, sameLayout } from '../layout/image.js';

export const formatRules: FormatRules<ImageLayout> = {
  read: readImage,
  residual: (step) => {
    const grid = gridOf(step);
    return grid && followsQuads(grid) ? grid : null;
  },
  same: sameLayout,
};

/** The image that a convolution reads, or null where it reads float32. */
export function readImage({
  filter,
  geometry,
  activationBits,
  depthwise,
}: ConvolutionStep): ImageLayout | null {
  if (!(filter instanceof DSConvFilter) || activationBits === null) return null;
  return inputImage(geometry, { bits: activationBits, blockSize: filter.blockSize }, depthwise);
}

/** The image of a convolution's output on its own grid, or null where it is on none. */
export function gridOf({ outputFormat, geometry: g }: ConvolutionStep): ImageLayout | null {
  return outputFormat && imageLayout(g.batch * g.outHeight * g.outWidth, g.outChannels, outputFormat);
}

/** Whether the channels of a quad are a word of the image, as the epilogue needs them. */
export function followsQuads({ groups, blockSize, blocks }: ImageLayout): boolean {
  return groups === 1 && (blocks === 1 || blockSize % 4 === 0);
}
