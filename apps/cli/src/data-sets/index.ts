/** Finds out which form a data set has, and reads it. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataSetError, toDSConvError } from '../errors.js';
import { type FolderContents, listFolder } from '../folders.js';
import { isPictureName, readPicture } from '../pictures.js';
import { readCifar } from './cifar.js';
import type { ClassNames, DataSet, Sample } from './data-set.js';
import { isIdxImages, readIdx } from './idx.js';
import { labelFolders, numberInName, readLabelsFile } from './labels.js';

const NO_NUMBERS = 'the names of the pictures carry no class index (NNNN.jpg)';

/**
 * Reads a data set: a folder of pictures (with labels.json, named by class index, or without labels), a folder of class folders, CIFAR-10's
 * binary files, or IDX files.
 *
 * @param path a folder, or one binary or IDX file
 * @param classes null where labels do not matter: then none is looked for
 * @param part of a published set that a folder holds whole
 */
export async function openDataSet(
  path: string,
  classes: ClassNames | null,
  part: 'train' | 'test' = 'test',
): Promise<DataSet> {
  const status = await stat(path).catch((error: unknown) => {
    throw toDSConvError(error, path);
  });
  if (!status.isDirectory()) return checkLabels(await openFile(path), classes);
  const contents = await listFolder(path);
  if (classes !== null && contents.files.includes('labels.json')) {
    const entries = await readLabelsFile(join(path, 'labels.json'), classes);
    const samples = entries.map(({ file, label }, n) =>
      pictureSample(join(path, file), label, numberInName(file) ?? n),
    );
    return nonEmpty({ samples, unlabelled: null }, path);
  }
  const pictures = contents.files.filter(isPictureName);
  if (pictures.length > 0) return openPictures(path, pictures, classes);
  const binary = preferred(
    contents.files.filter((name) => name.endsWith('.bin')),
    part,
  );
  const idx = preferred(contents.files.filter(isIdxImages), part);
  if (binary.length > 0 || idx.length > 0) {
    const parts = await Promise.all([...binary, ...idx].map((name) => openFile(join(path, name))));
    const unlabelled = parts.find((part) => part.unlabelled !== null)?.unlabelled ?? null;
    const samples = parts.flatMap((part) => part.samples).map((sample, n) => ({ ...sample, number: n }));
    return checkLabels(nonEmpty({ samples, unlabelled }, path), classes);
  }
  return openClassFolders(path, contents, classes);
}

/** Where a folder holds both parts of a published set, one of them is meant. */
function preferred(names: string[], part: 'train' | 'test'): string[] {
  const isTest = (name: string): boolean => /test|t10k|val/i.test(name);
  const meant = names.filter((name) => isTest(name) === (part === 'test'));
  return meant.length > 0 ? meant : names;
}

async function openFile(file: string): Promise<DataSet> {
  if (isIdxImages(file)) {
    const { samples, labelled } = await readIdx(file);
    return { samples, unlabelled: labelled ? null : `no label file lies beside '${file}'` };
  }
  if (file.endsWith('.bin')) return { samples: await readCifar(file), unlabelled: null };
  throw new DataSetError(
    `'${file}' is no data set; expected a folder, a CIFAR-10 file (*.bin) or IDX images (*-images-idx3-ubyte)`,
  );
}

function openPictures(path: string, names: readonly string[], classes: ClassNames | null): DataSet {
  const numbers = names.map(numberInName);
  const labelled = classes !== null && numbers.every((number) => number !== null && number < classes.count);
  const samples = names.map((name, n) =>
    pictureSample(join(path, name), labelled ? numbers[n]! : null, numbers[n] ?? n),
  );
  return { samples, unlabelled: labelled ? null : NO_NUMBERS };
}

async function openClassFolders(
  path: string,
  contents: FolderContents,
  classes: ClassNames | null,
): Promise<DataSet> {
  const perFolder = await Promise.all(
    contents.folders.map(async (folder) => {
      const pictures = (await listFolder(join(path, folder))).files.filter(isPictureName);
      return { folder, pictures };
    }),
  );
  const filled = perFolder.filter(({ pictures }) => pictures.length > 0);
  if (filled.length === 0) {
    throw new DataSetError(`'${path}' has no pictures, class folders, *.bin or IDX files in it`);
  }
  const folders = filled.map(({ folder }) => folder);
  const labels = classes === null ? null : labelFolders(folders, classes, path);
  const samples = filled.flatMap(({ folder, pictures }, f) =>
    pictures.map((name) => pictureSample(join(path, folder, name), labels?.[f] ?? null, 0)),
  );
  return { samples: samples.map((sample, n) => ({ ...sample, number: n })), unlabelled: null };
}

function pictureSample(file: string, label: number | null, number: number): Sample {
  return { name: file, label, number, read: () => readPicture(file) };
}

function nonEmpty(set: DataSet, path: string): DataSet {
  if (set.samples.length === 0) throw new DataSetError(`'${path}' has no pictures in it`);
  return set;
}

/** Labels of binary files must be classes of the network that is evaluated. */
function checkLabels(set: DataSet, classes: ClassNames | null): DataSet {
  if (classes === null) return set;
  const wrong = set.samples.find(({ label }) => label !== null && label >= classes.count);
  if (wrong) {
    throw new DataSetError(
      `${wrong.name} has class ${wrong.label}; expected at most ${classes.count - 1}, the last class of the network`,
    );
  }
  return set;
}
