/** Images of a plan: which ones the kernels read (core chooses the format of every value by that). */
import { type ConvolutionStep, DSConvFilter, type FormatRules } from '@dsconv/core';
import { inputImage, readsAsResidual } from '../dsconv/convolution.js';
import { type ImageLayout, imageLayout, sameLayout } from '../layout/image.js';
import { LEAST_FRAGMENT_DEPTH } from '../layout/pack-filter.js';

export const formatRules: FormatRules<ImageLayout> = {
  read: readImage,
  residual: (step) => {
    const grid = gridOf(step);
    return grid && readsAsResidual(grid) ? grid : null;
  },
  same: sameLayout,
};

/** The image that a convolution reads, or null where it reads float32. */
export function readImage(step: ConvolutionStep): ImageLayout | null {
  const { filter, geometry, depthwise } = step;
  // Kernels for few channels, which make up first layers, round float32 on the way.
  const rounds = !depthwise && geometry.groups === 1 && geometry.inChannels < LEAST_FRAGMENT_DEPTH;
  return rounds || !(filter instanceof DSConvFilter) ? null : gridRead(step, filter);
}

/** The grid that a convolution's activations are rounded to, or null where they stay float32. */
export function gridRead(step: ConvolutionStep, filter: DSConvFilter): ImageLayout | null {
  const { geometry, activationBits, depthwise } = step;
  if (activationBits === null) return null;
  return inputImage(geometry, { bits: activationBits, blockSize: filter.blockSize }, depthwise);
}

/** The image of a convolution's output on its own grid, or null where it is on none. */
export function gridOf({ outputFormat, geometry: g }: ConvolutionStep): ImageLayout | null {
  return outputFormat && imageLayout(g.batch * g.outHeight * g.outWidth, g.outChannels, outputFormat);
}
