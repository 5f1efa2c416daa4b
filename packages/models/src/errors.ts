import { DSConvError } from '@dsconv/core';

/** The contents of a file are not what its format promises. The message names the file. */
export class FileFormatError extends DSConvError {
  /** Name or path of the file. */
  readonly file: string;

  /** @param problem a clause after the file's name, such as `header length is 9; expected …` */
  constructor(file: string, problem: string, options?: { cause?: unknown }) {
    super('FILE_FORMAT', `${file}: ${printable(problem)}`, options);
    this.file = file;
  }
}

/** Names out of a damaged or hostile file may hold line breaks, terminal controls or megabytes; a message is one line. */
function printable(text: string): string {
  const cut = text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text;
  return cut.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

const MAX_MESSAGE = 1000;

/** An id or architecture name that the registry does not have. The message suggests the nearest ones. */
export class UnknownModelError extends DSConvError {
  constructor(message: string) {
    super('UNKNOWN_MODEL', message);
  }
}

/** The weights of a known model are not part of the package; the message says where they come from. */
export class ModelNotShippedError extends DSConvError {
  constructor(message: string) {
    super('MODEL_NOT_SHIPPED', message);
  }
}
