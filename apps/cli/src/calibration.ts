/** Pictures to calibrate on, from whatever form of data set a path names. Labels are not looked at. */
import type { CalibrationPictures } from '@dsconv/converter';
import { type Network, preprocess } from '@dsconv/models';
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
