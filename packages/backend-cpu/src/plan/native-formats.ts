/**
 * The one decision of a native plan: the format of every value. Activations that DSConv reads are written as BFP images by the step that makes them, and
 * exist as float32 only where something reads float32.
 */
import {
  type BfpFormat,
  type ConvolutionStep,
  DSConvFilter,
  type Program,
  readsOf,
  type Step,
  type ValueId,
} from '@dsconv/core';
import type { BufferDescription } from '../../native/interface.js';

export type Image = Extract<BufferDescription, { format: 'bfp' }>;

/** For each value, the images it is wanted in, by their keys. */
export type Images = Map<ValueId, Map<string, Image>>;

export class Formats {
  /** @param readsImage whether the kernel of a quantized convolution takes an image, or quantizes float32 itself */
  constructor(
    private readonly program: Program,
    private readonly readsImage: (step: ConvolutionStep) => boolean,
  ) {}

  /** Images by value, and the values that are wanted as float32. */
  choose(): { images: Images; floats: Set<ValueId> } {
    const images = this.wantedImages();
    return { images, floats: this.wantedFloats(images) };
  }

  /** For each value, the images that its readers want, by key. */
  private wantedImages(): Images {
    const wanted = new Map() as Images;
    const depthwise: [ValueId, Image][] = [];
    for (const step of this.program.steps) {
      if (step.op !== 'convolution') continue;
      const image = this.imageOf(step);
      if (!image) continue;
      if (step.depthwise) {
        depthwise.push([step.input, image]);
        continue;
      }
      if (!wanted.has(step.input)) wanted.set(step.input, new Map());
      wanted.get(step.input)!.set(keyOf(image), image);
    }
    // A depthwise convolution reads an image whatever width of weights it was made for.
    for (const [value, image] of depthwise) {
      if (!wanted.has(value)) wanted.set(value, new Map());
      const images = wanted.get(value)!;
      if (![...images.values()].some((other) => samePartition(other, image))) images.set(keyOf(image), image);
    }
    for (const [value, image] of this.residualImages(wanted))
      wanted.set(value, new Map([[keyOf(image), image]]));
    return wanted;
  }

  /** Values on a BFP grid that are only ever added: they need no float32 either. */
  private *residualImages(wanted: ReadonlyMap<ValueId, unknown>): Iterable<[ValueId, Image]> {
    const { steps, outputs } = this.program;
    for (const maker of steps) {
      if (maker.op !== 'convolution' || !maker.outputFormat) continue;
      const value = maker.output;
      const readers = steps.filter((step) => readsOf(step).includes(value));
      const added = readers.every((step) => step.op === 'convolution' && step.input !== value);
      if (!added || wanted.has(value) || outputs.includes(value)) continue;
      const { bits: mantissa, blockSize: block, groups } = maker.outputFormat;
      const { batch, outHeight, outWidth, outChannels: channels } = maker.geometry;
      const pixels = batch * outHeight * outWidth;
      yield [value, { format: 'bfp', pixels, channels, groups, block, mantissa, storage: 4, sums: false }];
    }
  }

  /** The image a convolution reads, or null where it reads float32. */
  imageOf(step: ConvolutionStep): Image | null {
    const { filter, geometry: g, activationBits } = step;
    if (!(filter instanceof DSConvFilter) || activationBits === null) return null;
    if (!step.depthwise && !this.readsImage(step)) return null;
    return {
      format: 'bfp',
      pixels: g.batch * g.inHeight * g.inWidth,
      channels: g.inChannels,
      groups: g.groups,
      block: filter.blockSize,
      mantissa: activationBits,
      storage: filter.bits <= 2 ? 2 : filter.bits <= 4 ? 4 : 8,
      sums: filter.stored('kdsBias') !== undefined || filter.stored('cdsBias') !== undefined,
    };
  }

  /** Values that somebody reads as float32. */
  private wantedFloats(images: Images): Set<ValueId> {
    const floats = new Set<ValueId>(this.program.outputs);
    const makers = new Map(this.program.steps.map((step) => [step.output, step]));
    for (const step of this.program.steps) {
      if (step.op === 'convolution') {
        if (!this.imageOf(step)) floats.add(step.input);
        if (step.residual !== null && !exactImage(makers.get(step.residual), images.get(step.residual))) {
          floats.add(step.residual);
        }
        continue;
      }
      for (const value of readsOf(step)) floats.add(value);
    }
    return floats;
  }
}

export function keyOf(image: Image): string {
  return [image.channels, image.mantissa, image.block, image.groups, image.storage, image.sums].join();
}

/** Two kinds of steps write float32 only. */
export function writesImages(step: Step): boolean {
  return step.op !== 'matMul' && step.op !== 'softmax';
}

/** Length of the rows in which a step writes, or null for steps that are told. */
export function rowOf(step: Step): number | null {
  switch (step.op) {
    case 'convolution':
    case 'pool':
      return step.geometry.outChannels;
    case 'mean':
    case 'pad':
      return step.channels;
    case 'concat':
      return step.channels.reduce((a, b) => a + b, 0);
    case 'scaleShift':
      return step.scale.length;
    default:
      return null;
  }
}

export function samePartition(
  a: Image,
  b: Pick<Image, 'channels' | 'mantissa' | 'block' | 'groups'>,
): boolean {
  return (
    a.channels === b.channels && a.mantissa === b.mantissa && a.block === b.block && a.groups === b.groups
  );
}

/** Whether the only images of a value are of the very grid its maker rounds to, so that they hold it exactly. */
function exactImage(maker: Step | undefined, images: Map<string, Image> | undefined): boolean {
  if (!images || images.size === 0 || maker?.op !== 'convolution' || !maker.outputFormat) return false;
  const { bits, blockSize, groups }: Required<BfpFormat> = maker.outputFormat;
  const { outChannels: channels } = maker.geometry;
  return [...images.values()].every((image) =>
    samePartition(image, { channels, mantissa: bits, block: blockSize, groups }),
  );
}
