/** Windows of the photographs of people that face-api's package shows its work on. */
import { join } from 'node:path';
import sharp from 'sharp';
import { preprocess } from '../../packages/models/dist/index.js';
import { PACKAGES, packageFolder } from './packages.mjs';

/** Sides of the windows in parts of the photograph's shorter side. */
const SIDES = [1, 0.6, 0.35];

/**
 * Squares of several sizes from each of some photographs, in places that depend on nothing but their numbers.
 *
 * @param numbers of the photographs, 1 to 6
 * @param each how many windows of each
 * @returns raw pictures of 3 channels
 */
export async function windows(numbers, each) {
  const pictures = [];
  for (const number of numbers) {
    const file = join(packageFolder(PACKAGES.faceApi), 'demo', `sample${number}.jpg`);
    const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    for (let n = 0; n < each; n++) {
      const side = Math.floor(SIDES[n % SIDES.length] * Math.min(info.width, info.height));
      // Multiples of two irrational numbers fill the square evenly.
      const left = Math.floor(((n * 0.618034) % 1) * (info.width - side));
      const top = Math.floor(((n * 0.754878) % 1) * (info.height - side));
      pictures.push(cut(data, info.width, left, top, side));
    }
  }
  return pictures;
}

function cut(data, width, left, top, side) {
  const out = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    const from = ((top + y) * width + left) * 3;
    out.set(data.subarray(from, from + side * 3), y * side * 3);
  }
  return { data: out, width: side, height: side, channels: 3 };
}

/** As a model reads it, `[size, size, 3]`. @param pixels range, mean and std of {@link preprocess} */
export function prepared(picture, size, { range, mean = [0, 0, 0], std = [1, 1, 1] }) {
  return preprocess(picture, {
    size,
    channels: 3,
    resize: { mode: 'exact', cropRatio: 1 },
    interpolation: 'bilinear',
    antialias: true,
    range,
    mean,
    std,
  });
}
