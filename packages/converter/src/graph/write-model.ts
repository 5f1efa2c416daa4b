import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { accessError, FileAccessError } from '../errors.js';
import { writeFileAtomic } from '../write-file.js';
import type { ModelFiles } from './model-artifacts.js';

/**
 * Writes a model into a folder, which is made where its parent exists. The shards have names of their own contents, so that none of an older
 * model is written over, and model.json comes last: whatever fails on the way, a model that was there still loads.
 *
 * @returns bytes written
 * @throws FileAccessError naming the folder or file
 */
export async function writeModelFiles(folder: string, files: ModelFiles): Promise<number> {
  const status = await stat(folder).catch(() => null);
  if (status && !status.isDirectory()) {
    throw new FileAccessError(folder, 'is a file; expected the path of a folder to write the model to');
  }
  if (!status) {
    await mkdir(folder).catch((error: unknown) => {
      throw accessError(folder, error, 'write');
    });
  }
  let written = 0;
  for (const [name, bytes] of files) {
    await writeFileAtomic(join(folder, name), bytes);
    written += bytes.length;
  }
  return written;
}
