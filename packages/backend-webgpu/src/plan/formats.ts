/**
 * The format of every value of a plan. Activations that DSConv reads exist as images, packed integers with their scales, and as float32 only where something
 * reads float32. That changes no result: rounding what lies on a grid to that grid is the identity.
 */
import { type ConvolutionStep, DSConvFilter, type Program, readsOf, type ValueId } from '@dsconv/core';
import { inputImage } from '../kernels/convolution.js';
import { type ImageLayout, imageLayout, sameLayout } from '../layout/image.js';

export interface Formats {
  /** Images that readers want, by value. */
  images: ReadonlyMap<ValueId, readonly ImageLayout[]>;
  /** Values that somebody reads as float32. */
  floats: ReadonlySet<ValueId>;
  /** The image of a value that is read as a residual, where it lies on a grid. */
  residuals: ReadonlyMap<ValueId, ImageLayout>;
}

export function chooseFormats(program: Program): Formats {
  const images = new Map<ValueId, ImageLayout[]>();
  const floats = new Set<ValueId>(program.outputs);
  const residuals = new Map<ValueId, ImageLayout>();
  const makers = new Map(program.steps.map((step) => [step.output, step]));
  const convolutions = program.steps.filter((step): step is ConvolutionStep => step.op === 'convolution');
  const want = (value: ValueId, image: ImageLayout): void => {
    const wanted = images.get(value) ?? [];
    if (!wanted.some((other) => sameLayout(other, image))) wanted.push(image);
    images.set(value, wanted);
  };
  for (const step of program.steps) {
    if (step.op !== 'convolution') {
      for (const value of readsOf(step)) floats.add(value);
      continue;
    }
    const image = readImage(step);
    if (image) want(step.input, image);
    else floats.add(step.input);
  }
  for (const { residual } of convolutions) {
    if (residual === null) continue;
    const maker = makers.get(residual);
    const grid = maker?.op === 'convolution' ? gridOf(maker) : null;
    // A residual on a grid is read from its image, which is made for that if nothing else reads it.
    if (grid && followsQuads(grid)) {
      residuals.set(residual, grid);
      want(residual, grid);
    } else floats.add(residual);
  }
  return { images, floats, residuals };
}

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
