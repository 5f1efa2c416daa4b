import { DSConvError } from '@dsconv/core';

/** The WebAssembly memory cannot grow any further (4 GiB, or less where the engine says so). */
export class OutOfMemoryError extends DSConvError {
  constructor(message: string) {
    super('OUT_OF_MEMORY', message);
  }
}
