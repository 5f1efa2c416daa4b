/** From the pixels of a picture to the numbers a network reads. */
import { InvalidArgumentError } from '@dsconv/core';
import { type Interpolation, type ResizeWindow, resize as resizePixels } from './resize.js';

/** Preprocessing as data. A value becomes `(range[0] + pixel/255 * (range[1]-range[0]) - mean) / std`, per channel. */
export interface Preprocessing {
  /** Side of the square picture the network reads, in pixels. */
  size: number;
  /** 3: colours, 1: grey (RGB pictures are converted by ITU-R BT.601 luma). */
  channels: 1 | 3;
  /** Order in which the network reads colours, and in which mean and std are given. Default 'rgb'. */
  channelOrder?: 'rgb' | 'bgr';
  resize: {
    /** 'shorterSide' keeps the aspect ratio and crops the centre; 'exact' stretches. */
    mode: 'shorterSide' | 'exact';
    /** The part of the resized picture's side that is kept: 0.875 resizes to `size / 0.875`, then crops to `size`. */
    cropRatio: number;
  };
  /** 'bicubic' is PIL's, with antialiasing only. */
  interpolation: Interpolation;
  /** Widen the filter when scaling down, as PIL and torchvision do. */
  antialias: boolean;
  /** What pixel values 0 and 255 are mapped to before mean and std. */
  range: readonly [number, number];
  /** One value per channel. */
  mean: readonly number[];
  std: readonly number[];
}

/** A decoded picture: rows from the top, channels interleaved. */
export interface RawImage {
  /** 8 bits per value, `height * width * channels` of them. */
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  /** 1: grey, 3: RGB, 4: RGBA, whose alpha is ignored. */
  channels: 1 | 3 | 4;
}

/** A picture as browsers hold it: RGBA without saying so. `ImageData` is one. */
export type ImageDataLike = Omit<RawImage, 'channels'>;

/** A picture in any form {@link preprocess} reads; without `channels` their number follows from the length of the data. */
export type Picture = RawImage | ImageDataLike;

/** ITU-R BT.601 weights of red, green and blue in luma. */
const LUMA = [0.299, 0.587, 0.114] as const;

/**
 * Resizes, crops, converts and normalizes one picture.
 *
 * @returns float32 `[size, size, channels]`, one NHWC picture
 * @throws InvalidArgumentError when it is no picture, its size does not match its data, or the specification is out of range
 */
export function preprocess(picture: Picture, spec: Preprocessing): Float32Array {
  const image = rawImage(picture);
  checkImage(image);
  checkPreprocessing(spec);
  const { channels, channelOrder, range, mean, std, interpolation, antialias } = spec;
  const planes = convertChannels(image, channels, channelOrder === 'bgr');
  const resized = resizePixels(planes, channels, resizeWindow(image, spec), interpolation, antialias);
  const factor = (range[1] - range[0]) / 255;
  for (let n = 0; n < resized.length; n++) {
    const c = n % channels;
    resized[n] = (range[0] + resized[n]! * factor - mean[c]!) / std[c]!;
  }
  return resized;
}

function rawImage(picture: Picture): RawImage {
  const { data } = (picture ?? {}) as Partial<RawImage>;
  // By name, because a picture may come from another frame or context with classes of its own.
  const kind = Object.prototype.toString.call(data).slice(8, -1);
  if (kind !== 'Uint8Array' && kind !== 'Uint8ClampedArray') {
    throw new InvalidArgumentError(
      `image.data is ${kind}; expected the pixels of a picture as Uint8Array or Uint8ClampedArray`,
    );
  }
  if ('channels' in picture) return picture;
  const { width, height } = picture;
  // Checked with everything else; no whole number of channels means that rows are missing of RGBA.
  const found = picture.data.length / (width * height);
  const channels = (Number.isInteger(found) ? found : 4) as RawImage['channels'];
  return { data: picture.data, width, height, channels };
}

/** Scale the whole picture, then keep a square window; only the window is computed. Sizes and offsets as torchvision rounds them. */
function resizeWindow({ width, height }: RawImage, { size, resize }: Preprocessing): ResizeWindow {
  const side = Math.max(size, Math.floor(size / resize.cropRatio));
  let scaledWidth = side;
  let scaledHeight = side;
  if (resize.mode === 'shorterSide') {
    if (width < height) scaledHeight = Math.trunc((side * height) / width);
    else scaledWidth = Math.trunc((side * width) / height);
  }
  return {
    inWidth: width,
    inHeight: height,
    scaledWidth,
    scaledHeight,
    left: halfEven((scaledWidth - size) / 2),
    top: halfEven((scaledHeight - size) / 2),
    width: size,
    height: size,
  };
}

/** Python's `round`, for multiples of a half. */
function halfEven(value: number): number {
  const floor = Math.floor(value);
  return value === floor ? floor : floor + (floor % 2);
}

/** Interleaved floats with 1 or 3 channels; `turned`: blue first. */
function convertChannels(image: RawImage, channels: 1 | 3, turned: boolean): Float32Array {
  const { data, channels: from } = image;
  const pixels = image.width * image.height;
  const out = new Float32Array(pixels * channels);
  const colour = from !== 1;
  for (let p = 0; p < pixels; p++) {
    if (channels === 3) {
      for (let c = 0; c < 3; c++) out[p * 3 + (turned ? 2 - c : c)] = data[p * from + (colour ? c : 0)]!;
    } else if (colour) {
      const at = p * from;
      out[p] = LUMA[0] * data[at]! + LUMA[1] * data[at + 1]! + LUMA[2] * data[at + 2]!;
    } else {
      out[p] = data[p]!;
    }
  }
  return out;
}

function checkImage({ data, width, height, channels }: RawImage): void {
  for (const [name, value] of [['width', width] as const, ['height', height] as const]) {
    if (!Number.isInteger(value) || value < 1) {
      throw new InvalidArgumentError(`image.${name} is ${value}; expected a positive integer`);
    }
  }
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    throw new InvalidArgumentError(`image.channels is ${String(channels)}; expected 1, 3 or 4`);
  }
  if (data.length !== width * height * channels) {
    throw new InvalidArgumentError(
      `image.data has ${data.length} values; expected ${width * height * channels} for ${width}×${height} pixels of ${channels} channels`,
    );
  }
}

/** @throws InvalidArgumentError naming the field that is out of range */
export function checkPreprocessing(spec: Preprocessing): void {
  const { size, channels, channelOrder, resize, interpolation, antialias, range, mean, std } = spec;
  const demand = (holds: boolean, field: string, value: unknown, expected: string): void => {
    if (holds) return;
    throw new InvalidArgumentError(
      `preprocessing.${field} is ${JSON.stringify(value)}; expected ${expected}`,
    );
  };
  const numbers = (list: readonly number[], length: number): boolean =>
    Array.isArray(list) && list.length === length && list.every(Number.isFinite);
  demand(Number.isInteger(size) && size >= 1 && size <= 16384, 'size', size, 'an integer from 1 to 16384');
  demand(channels === 1 || channels === 3, 'channels', channels, '1 or 3');
  demand(
    channelOrder === undefined || channelOrder === 'rgb' || channelOrder === 'bgr',
    'channelOrder',
    channelOrder,
    "'rgb' or 'bgr'",
  );
  demand(
    resize.mode === 'shorterSide' || resize.mode === 'exact',
    'resize.mode',
    resize.mode,
    "'shorterSide' or 'exact'",
  );
  const { cropRatio } = resize;
  demand(
    Number.isFinite(cropRatio) && cropRatio >= 0.01 && cropRatio <= 1,
    'resize.cropRatio',
    cropRatio,
    'a number from 0.01 to 1',
  );
  const isBicubic = interpolation === 'bicubic';
  demand(
    isBicubic || interpolation === 'bilinear',
    'interpolation',
    interpolation,
    "'bilinear' or 'bicubic'",
  );
  const whole = antialias === true || (antialias === false && !isBicubic);
  demand(whole, 'antialias', antialias, isBicubic ? "true with 'bicubic'" : 'true or false');
  demand(numbers(range, 2), 'range', range, 'two finite numbers');
  demand(numbers(mean, channels), 'mean', mean, `${channels} finite numbers`);
  demand(
    numbers(std, channels) && std.every((value) => value !== 0),
    'std',
    std,
    `${channels} finite numbers other than 0`,
  );
}
