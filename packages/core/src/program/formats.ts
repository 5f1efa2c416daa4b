/**
 * The format of every value of a plan. Activations that DSConv reads exist as images, packed integers with their scales, and as float32 only where something
 * reads float32. That changes no result: rounding what lies on a grid to that grid is the identity.
 */
import type { ValueId } from '../trace.js';
import { type ConvolutionStep, type Program, readsOf } from './program.js';

/** What a backend says of its images. */
export interface FormatRules<Image> {
  /** The image that a convolution reads, or null where it reads float32. */
  read(step: ConvolutionStep): Image | null;
  /** The image that holds a convolution's output exactly and can be added as a residual, or null where there is none. */
  residual(step: ConvolutionStep): Image | null;
  /** Whether two images of one value hold the same numbers at the same places. */
  same(a: Image, b: Image): boolean;
}

export interface Formats<Image> {
  /** Images that readers want, by value. */
  images: ReadonlyMap<ValueId, readonly Image[]>;
  /** Values that somebody reads as float32. */
  floats: ReadonlySet<ValueId>;
  /** The image of a value that is read as a residual, where it lies on a grid. */
  residuals: ReadonlyMap<ValueId, Image>;
}

export function chooseFormats<Image>(program: Program, rules: FormatRules<Image>): Formats<Image> {
  const images = new Map<ValueId, Image[]>();
  const floats = new Set<ValueId>(program.outputs);
  const residuals = new Map<ValueId, Image>();
  const makers = new Map(program.steps.map((step) => [step.output, step]));
  const convolutions = program.steps.filter((step): step is ConvolutionStep => step.op === 'convolution');
  const want = (value: ValueId, image: Image): void => {
    const wanted = images.get(value) ?? [];
    if (!wanted.some((other) => rules.same(other, image))) wanted.push(image);
    images.set(value, wanted);
  };
  for (const step of program.steps) {
    if (step.op !== 'convolution') {
      for (const value of readsOf(step)) floats.add(value);
      continue;
    }
    const image = rules.read(step);
    if (image) want(step.input, image);
    else floats.add(step.input);
  }
  for (const { residual } of convolutions) {
    if (residual === null) continue;
    const maker = makers.get(residual);
    const grid = maker?.op === 'convolution' ? rules.residual(maker) : null;
    // A residual on a grid is read from its image, which is made for that if nothing else reads it.
    if (grid) {
      residuals.set(residual, grid);
      want(residual, grid);
    } else floats.add(residual);
  }
  return { images, floats, residuals };
}
