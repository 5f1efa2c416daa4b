import { readFile, stat } from 'node:fs/promises';
import { accessError, FileAccessError } from './errors.js';

/**
 * Reads a whole regular file.
 *
 * @throws FileAccessError when it is missing, a folder, a device, or unreadable
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const status = await stat(path);
    if (!status.isFile()) {
      throw new FileAccessError(
        path,
        `is ${status.isDirectory() ? 'a folder' : 'no regular file'}; expected a file`,
      );
    }
    const { buffer, byteOffset, byteLength } = await readFile(path);
    return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  } catch (error) {
    if (error instanceof FileAccessError) throw error;
    throw accessError(path, error, 'read');
  }
}
