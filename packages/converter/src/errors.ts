import { DSConvError } from '@dsconv/core';

/** A file or folder cannot be read or written; the message names it and says why. */
export class FileAccessError extends DSConvError {
  /** Path as it was given. */
  readonly file: string;

  constructor(file: string, problem: string, options?: { cause?: unknown }) {
    super('FILE_ACCESS', `${file}: ${problem}`, options);
    this.file = file;
  }
}

/** Reasons of the operating system, as sentences go on after the file's name. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'is a folder; expected a file',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'is on a read-only file system',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'is larger than the file system allows',
  EIO: 'the device reported an error',
  ENAMETOOLONG: 'the name is too long',
};

/** Turns an error of `node:fs` into a {@link FileAccessError}. */
export function accessError(file: string, error: unknown, doing: 'read' | 'write'): FileAccessError {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  const reason = Object.hasOwn(REASONS, code)
    ? REASONS[code]
    : error instanceof Error
      ? error.message
      : String(error);
  return new FileAccessError(file, `cannot ${doing}: ${reason}`, { cause: error });
}
