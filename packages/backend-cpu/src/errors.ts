import { DSConvError } from '@dsconv/core';

/** The WebAssembly memory cannot grow any further (4 GiB, or less where the engine says so). */
export class OutOfMemoryError extends DSConvError {
  constructor(message: string) {
    super('OUT_OF_MEMORY', message);
  }
}

/** A helper thread was lost in the middle of a kernel, whose result is not to be had. Later kernels compute on one thread. */
export class ThreadError extends DSConvError {
  constructor(message: string) {
    super('THREAD_LOST', message);
  }
}
