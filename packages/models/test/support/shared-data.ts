/** Where the measuring data lies that is not part of the repository; tests that need it skip without it. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../../', import.meta.url));
const folder = resolve(process.env.DSCONV_DATA ?? join(repository, '../shared/data'));

/** Path of a file or folder of the measuring data. */
export const dataPath = (name: string): string => join(folder, name);

/** Title suffix and condition for `it.skipIf`. */
export const dataMissing = (...names: string[]): boolean => names.some((name) => !existsSync(dataPath(name)));

/** Pictures of CIFAR-10's binary format: a label byte, then 32×32 red, green, blue planes. */
export function readCifar(count: number, first = 0): { label: number; data: Uint8Array }[] {
  const file = readFileSync(dataPath('cifar10-test.bin'));
  return Array.from({ length: count }, (_, n) => {
    const record = file.subarray((first + n) * 3073, (first + n + 1) * 3073);
    const data = new Uint8Array(3072);
    for (let p = 0; p < 1024; p++) {
      for (let c = 0; c < 3; c++) data[p * 3 + c] = record[1 + c * 1024 + p]!;
    }
    return { label: record[0]!, data };
  });
}
