import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Network, writeNetwork } from '@dsconv/models';
import { accessError, FileAccessError } from './errors.js';

/**
 * Writes a network's file: beside the destination first, flushed to the disk, then renamed, so that the path holds either what it held before or
 * the whole new file. Whatever fails, the temporary file is removed, also when the process exits on the way.
 *
 * @returns bytes written
 * @throws FileAccessError when the path is a folder, its folder is missing, the disk is full, …
 */
export async function writeNetworkFile(path: string, network: Network): Promise<number> {
  if ((await stat(path).catch(() => null))?.isDirectory()) {
    throw new FileAccessError(path, 'is a folder; expected the path of a file to write');
  }
  const bytes = writeNetwork(network);
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`);
  const removeAtExit = (): void => rmSync(temporary, { force: true });
  process.once('exit', removeAtExit);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw accessError(path, error, 'write');
  } finally {
    process.off('exit', removeAtExit);
  }
  return bytes.byteLength;
}
