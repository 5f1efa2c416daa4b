/** Errors of the command line, and the translation of everything else into one sentence and an exit code. */
import { DSConvError } from '@dsconv/core';
import { CommanderError } from 'commander';

export const EXIT_OK = 0;
export const EXIT_ERROR = 1;
export const EXIT_USAGE = 2;
/** 128 + SIGINT, as shells report it. */
export const EXIT_INTERRUPTED = 130;

/** The command line itself is wrong: an unknown option, a missing argument, a malformed number. */
export class UsageError extends DSConvError {
  constructor(message: string) {
    super('USAGE', message);
  }
}

/** A picture cannot be read. */
export class PictureError extends DSConvError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('PICTURE', message, options);
  }
}

/** A file or folder is missing, unreadable or cannot be written. */
export class FileError extends DSConvError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('FILE', message, options);
  }
}

/** A set of pictures for `eval` does not have the form it should have. */
export class DataSetError extends DSConvError {
  constructor(message: string) {
    super('DATA_SET', message);
  }
}

/** An optional package that a command needs is not installed. */
export class MissingPackageError extends DSConvError {
  constructor(message: string) {
    super('MISSING_PACKAGE', message);
  }
}

/** Ctrl-C. */
export class InterruptedError extends DSConvError {
  constructor() {
    super('INTERRUPTED', 'interrupted');
  }
}

/** One sentence for each system error a user can meet; others show Node's own text. */
const SYSTEM_ERRORS: Record<string, string> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be accessed: permission denied',
  EPERM: 'may not be accessed: operation not permitted',
  EISDIR: 'is a folder; expected a file',
  ENOTDIR: 'lies under something that is not a folder',
  EEXIST: 'exists already',
  ENOSPC: 'cannot be written: no space left on the device',
  EDQUOT: 'cannot be written: the disk quota is used up',
  EFBIG: 'cannot be written: the file would be larger than allowed here',
  EROFS: 'cannot be written: the file system is read-only',
  EIO: 'cannot be read or written: input/output error',
  EMFILE: 'cannot be opened: too many open files',
  ENAMETOOLONG: 'has a name that is too long',
  ELOOP: 'leads through too many symbolic links',
};

/** True for errors that Node's file system functions throw. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

/**
 * A typed error for anything thrown.
 *
 * @param file named in the sentence where the system error does not name one (a failed `write` knows no path)
 */
export function toDSConvError(error: unknown, file?: string): DSConvError {
  if (error instanceof DSConvError) return error;
  if (error instanceof CommanderError) return fromCommander(error);
  if (isSystemError(error)) {
    const path = file ?? error.path;
    const reason = SYSTEM_ERRORS[error.code ?? ''] ?? `failed with ${oneLine(error.message)}`;
    return new FileError(path === undefined ? `a file ${reason}` : `'${path}' ${reason}`, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new DSConvError('INTERNAL', `unexpected: ${oneLine(message)} (DSCONV_DEBUG=1 shows where)`, {
    cause: error,
  });
}

function fromCommander(error: CommanderError): UsageError {
  if (error.code === 'commander.help')
    return new UsageError('no command is given; expected one of those above');
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  return new UsageError(suggestion ? `${message} ${suggestion}` : message);
}

export function exitCodeOf(error: DSConvError): number {
  if (error instanceof UsageError) return EXIT_USAGE;
  return error instanceof InterruptedError ? EXIT_INTERRUPTED : EXIT_ERROR;
}

/** `{code, message}`, the form errors have in JSON. */
export function errorAsJson(error: DSConvError): { code: string; message: string } {
  return { code: error.code, message: error.message };
}

/** Messages of other libraries may have several lines; a sentence has one. */
export function oneLine(message: string): string {
  return message.trim().replace(/\s*\n\s*/g, '; ');
}
