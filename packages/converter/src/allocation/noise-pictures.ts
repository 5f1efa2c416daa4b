/** Pictures of nothing, for where there are none: smooth at every scale, as photographs are. */
import { type Network, preprocess } from '@dsconv/models';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';
import { type Random, seededRandom } from '../random.js';

/** How much of a picture's variation is grey, and how much is of one colour alone. */
const [GREY, COLOUR] = [1, 0.35];
/** Standard deviation of pixel values, about that of photographs. */
const DEVIATION = 60;

/** Pictures for a network, preprocessed as it wants them; the same for the same seed. */
export function noisePictures(network: Network, count: number, seed: number): CalibrationPictures {
  const { inputSize, channels } = network.architecture;
  const { preprocessing } = network;
  return {
    count,
    async read(index) {
      const random = seededRandom(seed * 65_537 + index);
      const pixels = inputSize * inputSize;
      const grey = noise(inputSize, random);
      const data = new Uint8ClampedArray(pixels * channels);
      for (let c = 0; c < channels; c++) {
        const own = noise(inputSize, random);
        for (let p = 0; p < pixels; p++) {
          data[p * channels + c] = 120 + DEVIATION * (GREY * grey[p]! + COLOUR * own[p]!);
        }
      }
      const picture = { data, width: inputSize, height: inputSize, channels: channels as 1 | 3 };
      return preprocess(picture, { ...preprocessing, size: inputSize });
    },
  };
}

/** Grids of random numbers of every fineness, each interpolated, all of the same strength; mean 0, variance about 1. */
function noise(size: number, random: Random): Float32Array {
  const out = new Float32Array(size * size);
  let octaves = 0;
  for (let cells = 2; cells <= size; cells *= 2, octaves++) addGrid(out, size, cells, random);
  // Interpolation takes 5/9 of a uniform number's variance, 1/3, on average.
  const strength = 1 / Math.sqrt(Math.max(1, octaves) * (1 / 3) * (4 / 9));
  for (let p = 0; p < out.length; p++) out[p]! *= strength;
  return out;
}

function addGrid(out: Float32Array, size: number, cells: number, random: Random): void {
  const width = cells + 1;
  const grid = Float32Array.from({ length: width * width }, () => 2 * random() - 1);
  for (let y = 0; y < size; y++) {
    const v = (y * cells) / size;
    const [row, down] = [Math.floor(v), v % 1];
    for (let x = 0; x < size; x++) {
      const u = (x * cells) / size;
      const [column, right] = [Math.floor(u), u % 1];
      const at = row * width + column;
      const above = grid[at]! * (1 - right) + grid[at + 1]! * right;
      const below = grid[at + width]! * (1 - right) + grid[at + width + 1]! * right;
      out[y * size + x]! += above * (1 - down) + below * down;
    }
  }
}
