/** Fashion-MNIST as Debian's dataset-fashion-mnist package installs them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const FOLDER = '/usr/share/datasets/fashion-mnist';
const SIDE = 28;

/** IDX of uint8: two zero bytes, type 8, rank, then big-endian sizes and the data. */
function readIdx(path, rank) {
  const bytes = gunzipSync(readFileSync(path));
  if (bytes.readUInt32BE(0) !== 0x800 + rank)
    throw new Error(`${path} is not an IDX file of uint8, rank ${rank}`);
  return { count: bytes.readUInt32BE(4), data: bytes.subarray(4 + 4 * rank) };
}

/** Names of the files' parts. */
const FILES = { train: 'train', test: 't10k' };

const pathOf = (folder, part, kind) => join(folder, `${FILES[part]}-${kind}-ubyte.gz`);

/** Whether the dataset is there. */
export const isInstalled = (folder = FOLDER) => existsSync(pathOf(folder, 'test', 'labels-idx1'));

/**
 * Raw pictures and their labels, 60,000 for training or 10,000 for testing.
 *
 * @param {'train' | 'test'} part
 */
export function readPart(part, folder = FOLDER) {
  const pixels = readIdx(pathOf(folder, part, 'images-idx3'), 3);
  const labels = readIdx(pathOf(folder, part, 'labels-idx1'), 1);
  const size = SIDE * SIDE;
  return Array.from({ length: pixels.count }, (_, n) => ({
    image: {
      data: new Uint8Array(pixels.data.subarray(n * size, (n + 1) * size)),
      width: SIDE,
      height: SIDE,
      channels: 1,
    },
    label: labels.data[n],
  }));
}
