import { DSConvError } from '@dsconv/core';

/** Why a download failed, for programs. */
export type DownloadProblem = 'HTTP_STATUS' | 'NETWORK' | 'STALLED' | 'TRUNCATED' | 'REDIRECT' | 'HASH';

/** A file could not be downloaded whole and unaltered. The message names its address. */
export class DownloadError extends DSConvError {
  readonly url: string;
  readonly problem: DownloadProblem;
  /** The server's status where `problem` is 'HTTP_STATUS'. */
  readonly status: number | null;

  /** @param sentence what happened, after the address: 'the server answered 404; expected 200' */
  constructor(
    url: string,
    problem: DownloadProblem,
    sentence: string,
    options: { status?: number; cause?: unknown } = {},
  ) {
    super('DOWNLOAD', `${url}: ${sentence}`, { cause: options.cause });
    this.url = url;
    this.problem = problem;
    this.status = options.status ?? null;
  }

  /** Whether another attempt may end better. */
  get isPassing(): boolean {
    if (this.problem === 'HTTP_STATUS') return this.status === 429 || this.status! >= 500;
    return this.problem === 'NETWORK' || this.problem === 'STALLED' || this.problem === 'TRUNCATED';
  }
}

/** A network is not in the cache and may not be downloaded. */
export class OfflineError extends DSConvError {
  constructor(message: string) {
    super('OFFLINE', message);
  }
}
