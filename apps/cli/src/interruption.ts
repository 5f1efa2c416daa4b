import { InterruptedError } from './errors.js';

/**
 * Gives the event loop a turn, without which Ctrl-C is not heard during computation, and throws when it was pressed.
 *
 * @throws InterruptedError
 */
export async function turn(signal: AbortSignal | undefined): Promise<void> {
  await new Promise(setImmediate);
  if (signal?.aborted) throw new InterruptedError();
}
