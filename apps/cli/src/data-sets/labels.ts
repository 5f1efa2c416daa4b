/** Where the class of a picture is written: in labels.json, in its folder's name, or in its own name. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataSetError, toDSConvError } from '../errors.js';
import type { ClassNames } from './data-set.js';

/** `NNNN.jpg` or `NNNN-anything.png`: the number. */
export function numberInName(name: string): number | null {
  const match = /^(\d{1,9})(?:[-_. ].*)?\.[a-z0-9]+$/i.exec(name);
  return match ? Number(match[1]) : null;
}

/** Two spellings of a class are the same name: `great_white-shark` and `great white shark`. */
function normalize(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/** Index by class name; of `tench, Tinca tinca` each synonym counts. */
function indexByName(classes: ClassNames): Map<string, number> {
  const index = new Map<string, number>();
  classes.names?.forEach((name, n) => {
    for (const spelling of [name, ...name.split(',')]) {
      const key = normalize(spelling);
      // Some class names occur twice in ImageNet (crane, maillot): such a name decides nothing.
      index.set(key, index.has(key) && index.get(key) !== n ? -1 : n);
    }
  });
  return index;
}

function checkIndex(value: number, classes: ClassNames, where: string): number {
  if (!Number.isInteger(value) || value < 0 || value >= classes.count) {
    throw new DataSetError(
      `${where} has class ${value}; expected an integer from 0 to ${classes.count - 1}, the classes of the network`,
    );
  }
  return value;
}

/**
 * Class of each folder: by its name among the network's labels, by a number, or by its place in the sorted list when there are as many
 * folders as classes (ImageNet layout).
 *
 * @throws DataSetError when none of the three fits all folders
 */
export function labelFolders(folders: readonly string[], classes: ClassNames, root: string): number[] {
  const index = indexByName(classes);
  const byName = folders.map((folder) => index.get(normalize(folder)) ?? -1);
  if (byName.every((label) => label >= 0)) return byName;
  if (folders.every((folder) => /^\d{1,9}$/.test(folder))) {
    return folders.map((folder) => checkIndex(Number(folder), classes, `folder '${join(root, folder)}'`));
  }
  if (folders.length === classes.count) {
    // ImageNet's order is that of the bytes of the names, not of people.
    const sorted = [...folders].sort();
    return folders.map((folder) => sorted.indexOf(folder));
  }
  const unknown = folders[byName.findIndex((label) => label < 0)];
  throw new DataSetError(
    `'${root}' has ${folders.length} class folders and '${unknown}' is no label of the network; expected names of labels, class numbers, or one folder for each of its ${classes.count} classes`,
  );
}

/**
 * Reads labels.json: a list of `{file, label}` or `{file, labelIndex}`, where a label is a class index or a class name.
 *
 * @throws DataSetError naming the entry that does not fit
 */
export async function readLabelsFile(
  path: string,
  classes: ClassNames,
): Promise<{ file: string; label: number }[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toDSConvError(error, path);
  });
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    throw new DataSetError(`'${path}' is not valid JSON`);
  }
  if (!Array.isArray(entries)) throw new DataSetError(`'${path}' is no list; expected [{file, label}, …]`);
  const index = indexByName(classes);
  return entries.map((entry: { file?: unknown; label?: unknown; labelIndex?: unknown } | null, n) => {
    const where = `'${path}' entry ${n}`;
    const { file, label, labelIndex } = entry ?? {};
    if (typeof file !== 'string' || file === '') throw new DataSetError(`${where} has no file name`);
    const given = labelIndex ?? label;
    if (typeof given === 'number') return { file, label: checkIndex(given, classes, where) };
    const found = typeof given === 'string' ? (index.get(normalize(given)) ?? -1) : -1;
    if (found < 0) {
      throw new DataSetError(
        `${where} has label ${JSON.stringify(given)}; expected a class index or one of the network's labels`,
      );
    }
    return { file, label: found };
  });
}
