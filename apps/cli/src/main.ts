import { type Context, createContext, printJson } from './context.js';
import { EXIT_OK, errorAsJson, exitCodeOf, InterruptedError, toDSConvError } from './errors.js';
import { type Io, processIo } from './io.js';
import { createProgram, isHelp } from './program.js';

/**
 * Runs one command line.
 *
 * @param argv arguments after the program's name
 * @returns the exit code: 0 fine, 1 an error told in one sentence, 2 wrong usage, 130 interrupted
 */
export async function main(argv: readonly string[], io: Io = processIo()): Promise<number> {
  const context = createContext(io);
  const interruption = watchSignal(io.signal, context);
  try {
    const work = createProgram(context).parseAsync(argv, { from: 'user' });
    await Promise.race([work, interruption.promise]);
    return context.exitCode;
  } catch (error) {
    if (isHelp(error)) return EXIT_OK;
    return report(error, argv, io);
  } finally {
    interruption.stop();
  }
}

function report(error: unknown, argv: readonly string[], io: Io): number {
  const typed = toDSConvError(error);
  io.stderr.write(`error: ${typed.message}\n`);
  if (argv.includes('--json')) printJson(io, { error: errorAsJson(typed) });
  if (io.debug && error instanceof Error) io.stderr.write(`${error.stack}\n`);
  return exitCodeOf(typed);
}

/** A promise that rejects when the signal is aborted, so that no command has to be asked to end, but those that end by themselves. */
function watchSignal(
  signal: AbortSignal | undefined,
  context: Context,
): { promise: Promise<never>; stop(): void } {
  let stop = () => {};
  const promise = new Promise<never>((_, reject) => {
    if (!signal) return;
    const abort = () => {
      if (!context.finishesOnInterrupt) reject(new InterruptedError());
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    stop = () => signal.removeEventListener('abort', abort);
  });
  promise.catch(() => {});
  return { promise, stop };
}
