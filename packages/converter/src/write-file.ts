/** Files are written beside their place and renamed when complete: nothing is ever half-written. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { accessError, FileAccessError } from './errors.js';

/**
 * Refuses an output path that cannot become a file, before long work is spent on its content.
 *
 * @throws FileAccessError when it is a folder, or its folder does not exist
 */
export async function checkOutputPath(path: string): Promise<void> {
  const status = await stat(path).catch(() => null);
  if (status?.isDirectory() || /[\\/]$/.test(path)) {
    throw new FileAccessError(path, 'is a folder; expected the path of a file to write');
  }
  const folder = await stat(dirname(path)).catch(() => null);
  if (!folder?.isDirectory()) {
    throw new FileAccessError(path, 'cannot write: its folder does not exist');
  }
}

/**
 * Writes a file completely or not at all: beside its place, flushed to the disk, then renamed. Whatever fails, the temporary file is removed,
 * also when the process exits on the way. A device (such as /dev/stdout) is written to directly: a rename would replace it.
 *
 * @throws FileAccessError naming the file when the disk is full, it may not be written, …
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await checkOutputPath(path);
  const status = await stat(path).catch(() => null);
  const direct = status !== null && !status.isFile();
  const target = direct
    ? path
    : join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`);
  const removeAtExit = (): void => rmSync(target, { force: true });
  if (!direct) process.once('exit', removeAtExit);
  try {
    const file = await open(target, direct ? 'w' : 'wx');
    try {
      await file.writeFile(data);
      if (!direct) await file.sync();
    } finally {
      await file.close();
    }
    if (!direct) await rename(target, path);
  } catch (error) {
    if (!direct) await rm(target, { force: true }).catch(() => undefined);
    throw accessError(path, error, 'write');
  } finally {
    process.off('exit', removeAtExit);
  }
}
