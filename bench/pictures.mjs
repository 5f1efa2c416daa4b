/** Pictures of the measuring data, preprocessed, with their classes. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { preprocess } from '../packages/models/dist/index.js';
import { dataPath } from './data.mjs';

/** Photographs whose class index leaves this remainder when divided by 4, as `{ label, x }`; null without the data. */
export async function photographs(preprocessing, remainder) {
  const folder = dataPath('imagenet-photos');
  if (folder === null) return null;
  const names = readdirSync(folder).filter((name) => Number.parseInt(name, 10) % 4 === remainder);
  return Promise.all(
    names.map(async (name) => {
      const { data, info } = await sharp(join(folder, name))
        .toColourspace('srgb')
        .removeAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true });
      const picture = { data, width: info.width, height: info.height, channels: 3 };
      return { label: Number.parseInt(name, 10), x: preprocess(picture, preprocessing) };
    }),
  );
}

/** Bytes of one record: a label, then 32×32 red, green and blue planes. */
const RECORD = 3073;

/** The first pictures of a file in CIFAR-10's binary format, all of them by default; null without the data. */
export function cifar(preprocessing, name, count = Infinity) {
  const path = dataPath(name);
  if (path === null) return null;
  const file = readFileSync(path);
  return Array.from({ length: Math.min(count, file.length / RECORD) }, (_, n) => {
    const record = file.subarray(n * RECORD, (n + 1) * RECORD);
    const data = new Uint8Array(3072);
    for (let p = 0; p < 1024; p++) {
      for (let c = 0; c < 3; c++) data[p * 3 + c] = record[1 + c * 1024 + p];
    }
    return { label: record[0], x: preprocess({ data, width: 32, height: 32, channels: 3 }, preprocessing) };
  });
}
