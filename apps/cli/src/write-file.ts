/** Files are written beside their place and renamed when complete: nothing is ever half-written. */
import { rmSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FileError, toDSConvError } from './errors.js';

const unfinished = new Set<string>();

/** Removes what an interrupted write left behind; for the end of the process. */
export function removeUnfinishedFiles(): void {
  for (const path of unfinished) rmSync(path, { force: true });
  unfinished.clear();
}

/**
 * Refuses an output path that cannot become a file, before long work is spent on its content.
 *
 * @throws FileError when it is a folder, or its folder does not exist
 */
export async function checkOutputPath(path: string): Promise<void> {
  const status = await stat(path).catch(() => null);
  if (status?.isDirectory() || /[\\/]$/.test(path)) {
    throw new FileError(`output path '${path}' is a folder; expected the name of a file`);
  }
  const folder = await stat(dirname(path)).catch(() => null);
  if (!folder?.isDirectory()) {
    throw new FileError(`output path '${path}' lies in a folder that does not exist`);
  }
}

/**
 * Writes a file completely or not at all. A device (such as /dev/stdout) is written to directly: a rename would replace it.
 *
 * @throws FileError naming the file when the disk is full or it may not be written
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const status = await stat(path).catch(() => null);
  const direct = status !== null && !status.isFile();
  const target = direct ? path : join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  if (!direct) unfinished.add(target);
  try {
    const file = await open(target, 'w');
    try {
      await file.writeFile(data);
      if (!direct) await file.sync();
    } finally {
      await file.close();
    }
    if (!direct) await rename(target, path);
  } catch (error) {
    if (!direct) await rm(target, { force: true }).catch(() => {});
    throw toDSConvError(error, path);
  } finally {
    unfinished.delete(target);
  }
}
