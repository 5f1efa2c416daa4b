/** CIFAR-10's binary files: records of one label byte and 3 planes of 32×32 bytes, red, green, blue. */
import { readFile } from 'node:fs/promises';
import { DataSetError, toDSConvError } from '../errors.js';
import type { Sample } from './data-set.js';

const SIDE = 32;
const PLANE = SIDE * SIDE;
const RECORD = 1 + 3 * PLANE;
const CLASSES = 10;

/** @throws DataSetError when the length is not a whole number of records or a label is not below 10 */
export async function readCifar(file: string): Promise<Sample[]> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw toDSConvError(error, file);
  });
  if (bytes.length === 0 || bytes.length % RECORD !== 0) {
    throw new DataSetError(
      `'${file}' has ${bytes.length} bytes; expected CIFAR-10 records of ${RECORD} bytes each`,
    );
  }
  return Array.from({ length: bytes.length / RECORD }, (_, record) => {
    const label = bytes[record * RECORD]!;
    if (label >= CLASSES) {
      throw new DataSetError(`'${file}' record ${record} has label ${label}; expected 0 to ${CLASSES - 1}`);
    }
    const read = async () => interleave(bytes, record * RECORD + 1);
    return { name: `${file}#${record}`, label, number: record, read };
  });
}

function interleave(bytes: Uint8Array, start: number) {
  const data = new Uint8Array(3 * PLANE);
  for (let channel = 0; channel < 3; channel++) {
    for (let n = 0; n < PLANE; n++) data[3 * n + channel] = bytes[start + channel * PLANE + n]!;
  }
  return { data, width: SIDE, height: SIDE, channels: 3 as const };
}
