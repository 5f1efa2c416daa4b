/** What a command may touch of the process, so that tests can run commands in-process. */

/** A stream that text is written to. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Io {
  /** Results. */
  stdout: Output;
  /** Errors, progress and notes. */
  stderr: Output;
  /** Aborted by Ctrl-C. Long loops look at it between two pieces of work. */
  signal?: AbortSignal | undefined;
  /** True to print stack traces of errors. */
  debug?: boolean | undefined;
}

/** The real streams of the process. */
export function processIo(signal?: AbortSignal): Io {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    signal,
    debug: process.env.DSCONV_DEBUG === '1',
  };
}
