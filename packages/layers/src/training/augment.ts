/** How pictures are changed before they are learned from. */
import { InvalidArgumentError } from '@dsconv/core';

export interface Augmentation {
  /** Largest shift along either axis, in pixels; what moves in is filled with `fill`. Default 0. */
  shift?: number;
  /** Mirror half of the pictures. Default false. */
  mirror?: boolean;
  /** What lies outside of a picture, per channel, preprocessed: usually black. Default zeros. */
  fill?: readonly number[];
  /** Smallest share of the shorter side that a square cut out at random keeps, above 0 to 1. Default: pictures stay whole. It takes the place of shifts. */
  zoom?: number;
  /** Side of the squares that are learned from, in pixels. Networks that average over all places learn from small pictures too, and faster. Default: as read. */
  size?: number;
  /** Share of the pictures that get a box of another picture (Yun et al., "CutMix", arXiv 1905.04899). For learning without labels only. Default 0. */
  mix?: number;
}

export type Shape = readonly [height: number, width: number, channels: number];

/** @throws InvalidArgumentError naming what is out of range */
export function checkAugmentation({ shift = 0, zoom = 1, size = 1, mix = 0 }: Augmentation): void {
  const expect = (holds: boolean, name: string, value: number, what: string): void => {
    if (!holds) throw new InvalidArgumentError(`augmentation.${name} is ${value}; expected ${what}`);
  };
  expect(Number.isInteger(shift) && shift >= 0, 'shift', shift, 'an integer of at least 0');
  expect(zoom > 0 && zoom <= 1, 'zoom', zoom, 'a number above 0, up to 1');
  expect(Number.isInteger(size) && size >= 1, 'size', size, 'a positive integer');
  expect(mix >= 0 && mix <= 1, 'mix', mix, 'a number from 0 to 1');
}

/** Shape of what `augment` makes. */
export function augmentedShape([height, width, channels]: Shape, { size, zoom }: Augmentation): Shape {
  if (size !== undefined) return [size, size, channels];
  return zoom === undefined
    ? [height, width, channels]
    : [Math.min(height, width), Math.min(height, width), channels];
}

/** @param to shaped as `augmentedShape` says */
export function augment(
  from: Float32Array,
  shape: Shape,
  to: Float32Array,
  augmentation: Augmentation,
  random: () => number,
): void {
  if (augmentation.zoom === undefined && augmentation.size === undefined) {
    move(from, shape, to, augmentation, random);
    return;
  }
  const [height, width] = shape;
  const whole = Math.min(height, width);
  const { zoom = 1, mirror = false } = augmentation;
  const side = whole * (zoom + (1 - zoom) * random());
  const [top, left] = [(height - side) * random(), (width - side) * random()];
  const isMirrored = mirror && random() < 0.5;
  sample(from, shape, to, { top, left, side, isMirrored, size: augmentedShape(shape, augmentation)[0] });
}

/** Shifts and mirrors. */
function move(
  from: Float32Array,
  [height, width, channels]: Shape,
  to: Float32Array,
  { shift = 0, mirror = false, fill }: Augmentation,
  random: () => number,
): void {
  const pick = (): number => Math.floor(random() * (2 * shift + 1)) - shift;
  const [down, right] = [pick(), pick()];
  const isMirrored = mirror && random() < 0.5;
  if (down === 0 && right === 0 && !isMirrored) {
    to.set(from);
    return;
  }
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const y = row + down;
      const x = (isMirrored ? width - 1 - column : column) + right;
      const isInside = y >= 0 && y < height && x >= 0 && x < width;
      const at = (row * width + column) * channels;
      for (let c = 0; c < channels; c++) {
        to[at + c] = isInside ? from[(y * width + x) * channels + c]! : (fill?.[c] ?? 0);
      }
    }
  }
}

interface Square {
  top: number;
  left: number;
  side: number;
  isMirrored: boolean;
  /** Side of the result, in pixels. */
  size: number;
}

/** A square of the picture, bilinearly, pixels being areas: place `i` of the result lies at `(i + 1/2) side / size - 1/2`. */
function sample(
  from: Float32Array,
  [height, width, channels]: Shape,
  to: Float32Array,
  { top, left, side, isMirrored, size }: Square,
): void {
  const places = (start: number, length: number) =>
    Array.from({ length: size }, (_, n) => {
      const at = Math.min(length - 1, Math.max(0, start + ((n + 0.5) * side) / size - 0.5));
      const low = Math.floor(at);
      return { low, high: Math.min(length - 1, low + 1), share: at - low };
    });
  const rows = places(top, height);
  const columns = places(left, width);
  if (isMirrored) columns.reverse();
  let n = 0;
  for (const y of rows) {
    for (const x of columns) {
      for (let c = 0; c < channels; c++) {
        const read = (row: number, column: number): number => from[(row * width + column) * channels + c]!;
        const upper = read(y.low, x.low) * (1 - x.share) + read(y.low, x.high) * x.share;
        const lower = read(y.high, x.low) * (1 - x.share) + read(y.high, x.high) * x.share;
        to[n++] = upper * (1 - y.share) + lower * y.share;
      }
    }
  }
}

/** Puts a box of one picture, of any share of its area, into the other at the same place. */
export function pasteBox(
  from: Float32Array,
  to: Float32Array,
  [height, width, channels]: Shape,
  random: () => number,
): void {
  const share = Math.sqrt(random());
  const [rows, columns] = [Math.round(height * share), Math.round(width * share)];
  const top = Math.floor(random() * (height - rows + 1));
  const left = Math.floor(random() * (width - columns + 1));
  for (let row = top; row < top + rows; row++) {
    const begin = (row * width + left) * channels;
    to.set(from.subarray(begin, begin + columns * channels), begin);
  }
}
