import { InvalidArgumentError } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { type Tensor4D, tensor4d } from '@tensorflow/tfjs-core';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';

/**
 * Some pictures as one tensor.
 *
 * @throws InvalidArgumentError for a picture of another size than the network's
 */
export async function readBatch(
  { architecture }: Network,
  pictures: CalibrationPictures,
  indices: readonly number[],
): Promise<Tensor4D> {
  const { inputSize, channels } = architecture;
  const length = inputSize * inputSize * channels;
  const data = new Float32Array(indices.length * length);
  for (const [n, index] of indices.entries()) {
    const picture = await pictures.read(index);
    if (picture.length !== length) {
      throw new InvalidArgumentError(
        `picture ${index} has ${picture.length} values; expected ${length} for [${inputSize},${inputSize},${channels}]`,
      );
    }
    data.set(picture, n * length);
  }
  return tensor4d(data, [indices.length, inputSize, inputSize, channels]);
}
