/** Fashion-MNIST's test pictures as Debian's dataset-fashion-mnist package installs them. */
import { readFileSync } from 'node:fs';
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

/** The 10,000 test pictures as raw images, and their labels. */
export function readTestSet(folder = FOLDER) {
  const pixels = readIdx(join(folder, 't10k-images-idx3-ubyte.gz'), 3);
  const labels = readIdx(join(folder, 't10k-labels-idx1-ubyte.gz'), 1);
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
