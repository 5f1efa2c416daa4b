import { InvalidArgumentError, UnsupportedError } from '@dsconv/core';
import { loadNative } from './native/load.js';

/**
 * Sets how many threads the native tier computes with, for every backend and plan of the process; it starts with as many as the machine (or
 * container) has cores. Results do not depend on it. The other tiers compute on the calling thread.
 *
 * @throws InvalidArgumentError when `n` is no integer from 1 to 256
 * @throws UnsupportedError with the reason when the native tier is not available
 */
export async function setThreads(n: number): Promise<void> {
  if (!Number.isInteger(n) || n < 1 || n > 256) {
    throw new InvalidArgumentError(`n is ${n}; expected an integer from 1 to 256`);
  }
  (await native()).setThreads(n);
}

/** Threads of the native tier. */
export async function getThreads(): Promise<number> {
  return (await native()).getThreads();
}

async function native() {
  try {
    return await loadNative();
  } catch (error) {
    throw new UnsupportedError(`only the native tier has threads: ${(error as Error).message}`);
  }
}
