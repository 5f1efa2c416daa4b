/** Pictures to calibrate on, from whatever form of data set a path names. Labels are not looked at. */
import type { CalibrationPictures, ModelPictures } from '@dsconv/converter';
import { InvalidArgumentError } from '@dsconv/core';
import { checkPreprocessing, type Network, type Preprocessing, preprocess } from '@dsconv/models';
import { selectSamples } from './data-sets/data-set.js';
import { openDataSet } from './data-sets/index.js';
import { DataSetError } from './errors.js';

export interface PictureChoice {
  filterMod?: { modulus: number; remainder: number };
  limit?: number;
}

/** @throws DataSetError when the path names no data set, or no picture passes the filter */
export async function openCalibrationPictures(
  path: string,
  { filterMod, limit }: PictureChoice,
  { architecture, labels, preprocessing }: Network,
): Promise<CalibrationPictures> {
  const { samples } = await openDataSet(path, {
    count: architecture.classes,
    names: labels.length > 0 ? labels : null,
  });
  const chosen = selectSamples(samples, filterMod, limit);
  if (chosen.length === 0) throw new DataSetError(`no picture of '${path}' passes --filter-mod`);
  return {
    count: chosen.length,
    read: async (n) => preprocess(await chosen[n]!.read(), preprocessing),
  };
}

/** What pixels become before a model of one's own reads them. */
export interface PixelOptions {
  /** What pixel values 0 and 255 become. */
  range: [number, number];
  /** Taken off, and divided by, after that; one number for each channel, or one for all. */
  mean: number[];
  std: number[];
  /** Part of the shorter side that is kept; the centre. */
  crop: number;
}

/**
 * Pictures for a model that does not say how it wants them.
 *
 * @throws DataSetError as {@link openCalibrationPictures}
 * @throws InvalidArgumentError when reading, where the model's pictures are not square or an option does not fit their channels
 */
export async function openModelPictures(
  path: string,
  { filterMod, limit }: PictureChoice,
  pixels: PixelOptions,
): Promise<ModelPictures> {
  const { samples } = await openDataSet(path, null);
  const chosen = selectSamples(samples, filterMod, limit);
  if (chosen.length === 0) throw new DataSetError(`no picture of '${path}' passes --filter-mod`);
  return {
    count: chosen.length,
    read: async (n, shape) => {
      const specification = preprocessingOf(shape, pixels);
      return preprocess(await chosen[n]!.read(), specification);
    },
  };
}

function preprocessingOf(
  [height, width, channels]: readonly [number, number, number],
  { range, mean, std, crop }: PixelOptions,
): Preprocessing {
  if (height !== width) {
    throw new InvalidArgumentError(
      `the model reads pictures of ${height}×${width}; expected a square, which is what --calibrate makes of pictures`,
    );
  }
  const each = (values: number[]): number[] =>
    values.length === 1 ? new Array<number>(channels).fill(values[0]!) : values;
  const specification: Preprocessing = {
    size: height,
    channels: channels as 1 | 3,
    resize: { mode: 'shorterSide', cropRatio: crop },
    interpolation: 'bilinear',
    antialias: true,
    range,
    mean: each(mean),
    std: each(std),
  };
  checkPreprocessing(specification);
  return specification;
}
