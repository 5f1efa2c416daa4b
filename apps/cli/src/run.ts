/** `dsconv` as a process: signals, broken pipes, exit codes. Everything else is in `main`. */
import { EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK, toDSConvError } from './errors.js';
import { processIo } from './io.js';
import { main } from './main.js';

/** Runs one command line in this process and sets its exit code. */
export async function run(argv: readonly string[]): Promise<void> {
  const controller = new AbortController();
  process.on('SIGINT', () => {
    // The second Ctrl-C does not wait for anything.
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort();
  });
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // The reader has seen enough, as in `dsconv inspect … | head`.
    if (error.code === 'EPIPE') process.exit(EXIT_OK);
    process.stderr.write(`error: ${toDSConvError(error, 'standard output').message}\n`);
    process.exit(EXIT_ERROR);
  });
  process.stderr.on('error', () => {});
  process.exitCode = await main(argv, processIo(controller.signal));
  // Work that was interrupted may still be under way and would keep the process alive.
  if (process.exitCode === EXIT_INTERRUPTED) process.exit();
}
