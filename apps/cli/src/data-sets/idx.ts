/** IDX files (MNIST, Fashion-MNIST): `…-images-idx3-ubyte` beside `…-labels-idx1-ubyte`, plain or gzipped. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { DataSetError, toDSConvError } from '../errors.js';
import type { Sample } from './data-set.js';

const IMAGES = /images([.-])idx3-ubyte(\.gz)?$/;
/** No IDX file is expected to unpack to more than this. */
const MAX_BYTES = 2 ** 30;

export function isIdxImages(name: string): boolean {
  return IMAGES.test(name);
}

/** @throws DataSetError when a file is not what its header says */
export async function readIdx(file: string): Promise<{ samples: Sample[]; labelled: boolean }> {
  const images = await readBytes(file, 0x803, 3);
  const [total, height, width] = images.shape as [number, number, number];
  const labelFile = [file, file.replace(/\.gz$/, ''), `${file}.gz`]
    .map((name) => name.replace(IMAGES, 'labels$1idx1-ubyte$2'))
    .find((name) => name !== file && existsSync(name));
  const labels = labelFile === undefined ? null : await readBytes(labelFile, 0x801, 1);
  if (labels && labels.shape[0] !== total) {
    throw new DataSetError(
      `'${labelFile}' has ${labels.shape[0]} labels; expected ${total}, one per picture`,
    );
  }
  const samples = Array.from(
    { length: total },
    (_, n): Sample => ({
      name: `${file}#${n}`,
      label: labels ? labels.data[n]! : null,
      number: n,
      read: async () => ({
        data: images.data.subarray(n * height * width, (n + 1) * height * width),
        width,
        height,
        channels: 1,
      }),
    }),
  );
  return { samples, labelled: labels !== null };
}

async function readBytes(file: string, magic: number, rank: number) {
  let bytes: Uint8Array = await readFile(file).catch((error: unknown) => {
    throw toDSConvError(error, file);
  });
  if (file.endsWith('.gz')) {
    try {
      bytes = gunzipSync(bytes, { maxOutputLength: MAX_BYTES });
    } catch {
      throw new DataSetError(`'${file}' cannot be unpacked; expected gzip`);
    }
  }
  const header = 4 + 4 * rank;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < header || view.getUint32(0) !== magic) {
    throw new DataSetError(`'${file}' is not an IDX file of bytes with ${rank} dimensions`);
  }
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const size = shape.reduce((product, d) => product * d, 1);
  if (bytes.length - header !== size) {
    throw new DataSetError(
      `'${file}' has ${bytes.length - header} bytes after its header; expected ${size} for shape [${shape}]`,
    );
  }
  return { shape, data: bytes.subarray(header) };
}
