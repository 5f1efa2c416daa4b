/** One file from a server: streamed, resumed where it stopped, tried again after passing failures, verified. */
import { hashOf } from '../sha256.js';
import { DownloadError } from './errors.js';
import type { OnProgress } from './events.js';
import { type Answer, follow, naturalNumber } from './follow.js';
import type { PartialFile, Store } from './store.js';

export interface DownloadRequest {
  url: string;
  /** Name in the store while it is not complete. */
  name: string;
  /** For events. */
  id: string;
  file: string;
  /** SHA-256 the file must have, hexadecimal; null takes the server's word, if it gives one. */
  sha256: string | null;
  /** Asked where neither of them is known. */
  findHash?: () => Promise<string | null>;
}

export interface DownloadOptions {
  onProgress?: OnProgress | undefined;
  /** Milliseconds without a byte after which an attempt is given up. */
  stallTimeout: number;
  /** Further attempts after one that failed in passing. */
  retries: number;
  /** Milliseconds before the first of them; doubled before each other. */
  retryDelay: number;
  signal?: AbortSignal | undefined;
}

export interface Downloaded {
  bytes: Uint8Array;
  /** Hexadecimal. */
  sha256: string;
}

/**
 * @throws DownloadError; what has arrived is kept for the next call unless its hash is wrong
 * @throws what `signal` was aborted with
 */
export async function download(
  store: Store,
  request: DownloadRequest,
  options: DownloadOptions,
): Promise<Downloaded> {
  const { id, file, url } = request;
  options.onProgress?.({ status: 'initiate', id, file });
  const partial = await store.partial(request.name);
  let isOpen = true;
  try {
    // Without a tag or a hash nobody would notice that the file has become another one.
    const canResume = partial.tag !== null || request.sha256 !== null || request.findHash !== undefined;
    if (partial.length > 0 && !canResume) await partial.restart(null);
    for (let fresh = partial.length === 0; ; fresh = true) {
      const stated = await fetchAll(partial, request, options);
      const bytes = await partial.bytes();
      const sha256 = await hashOf(bytes);
      const expected = request.sha256 ?? stated ?? (await request.findHash?.()) ?? null;
      if (expected === null || expected === sha256) {
        isOpen = false;
        await partial.discard();
        const verified = expected !== null;
        options.onProgress?.({ status: 'done', id, file, bytes: bytes.length, sha256, verified });
        return { bytes, sha256 };
      }
      await partial.restart(null);
      // What an earlier call left may be of another version of the file: once more from the beginning.
      if (!fresh) continue;
      isOpen = false;
      await partial.discard();
      throw new DownloadError(url, 'HASH', `has the SHA-256 ${sha256}; expected ${expected}`);
    }
  } finally {
    if (isOpen) await partial.keep();
  }
}

/** Attempts until the file is complete. @returns the SHA-256 that a server stated */
async function fetchAll(
  partial: PartialFile,
  request: DownloadRequest,
  options: DownloadOptions,
): Promise<string | null> {
  for (let attempt = 0; ; attempt++) {
    const before = partial.length;
    try {
      return await fetchRest(partial, request, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      const failure = toDownloadError(request.url, error);
      if (!failure.isPassing) throw failure;
      // An attempt that brought something costs nothing: a slow line that breaks often gets there too.
      if (partial.length > before) attempt = 0;
      if (attempt >= options.retries) throw failure;
      await pause(options.retryDelay * 2 ** attempt, options.signal);
    }
  }
}

async function fetchRest(
  partial: PartialFile,
  { url, id, file }: DownloadRequest,
  { onProgress, stallTimeout, signal }: DownloadOptions,
): Promise<string | null> {
  const watch = watchdog(stallTimeout, url, signal);
  try {
    // A browser's own cache would hold the file a second time, and answer for the rest of it with what it has of the beginning.
    const answer = await follow(url, {
      headers: requestHeaders(partial),
      signal: watch.signal,
      cache: 'no-store',
    });
    const { response, sha256 } = answer;
    if (response.status === 416) return await whenBeyondEnd(partial, url, answer);
    if (!response.ok) {
      await response.body?.cancel();
      const sentence = `the server answered ${response.status}; expected 200`;
      throw new DownloadError(url, 'HTTP_STATUS', sentence, { status: response.status });
    }
    const total = await position(partial, answer);
    onProgress?.({ status: 'download', id, file, loaded: partial.length, total });
    const tell = teller(total, (loaded, progress) =>
      onProgress?.({ status: 'progress', id, file, loaded, total, progress }),
    );
    const reader = response.body?.getReader();
    for (;;) {
      watch.reset();
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done || !value) break;
      await partial.append(value);
      tell(partial.length);
    }
    if (total !== null && partial.length !== total) {
      const arrived = partial.length;
      if (arrived > total) await partial.restart(null);
      throw new DownloadError(url, 'TRUNCATED', `ended after ${arrived} bytes; expected ${total}`);
    }
    return sha256;
  } catch (error) {
    throw watch.reason() ?? error;
  } finally {
    watch.stop();
  }
}

/** The rest only. Whether it is of the same file shows the answer's tag: `If-Range` would cost browsers another request. */
function requestHeaders({ length }: PartialFile): Record<string, string> {
  // Compressed answers would count other bytes than the file has.
  const headers: Record<string, string> = { 'Accept-Encoding': 'identity' };
  if (length > 0) headers.Range = `bytes=${length}-`;
  return headers;
}

/** Lets the partial file end where the answer's body begins. @returns bytes of the whole file, where known */
async function position(partial: PartialFile, { response, size }: Answer): Promise<number | null> {
  const { headers, status } = response;
  const [, first, whole] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
  const tag = strongTag(headers);
  if (status === 206) {
    const isSame = tag === null || partial.tag === null || tag === partial.tag;
    if (isSame && naturalNumber(first) === partial.length) return naturalNumber(whole) ?? size;
    await response.body?.cancel();
    const asked = partial.length;
    await partial.restart(null);
    throw new DownloadError(
      response.url,
      'TRUNCATED',
      `the server sent '${headers.get('content-range')}' of ${tag}; expected the bytes from ${asked} on of the same file`,
    );
  }
  await partial.restart(tag);
  return headers.has('content-encoding') ? size : (naturalNumber(headers.get('content-length')) ?? size);
}

/** A weak tag does not promise the same bytes. */
function strongTag(headers: Headers): string | null {
  const tag = headers.get('etag') ?? null;
  return tag?.startsWith('"') ? tag : null;
}

/** There is nothing after what has arrived: it is complete, or another file. */
async function whenBeyondEnd(partial: PartialFile, url: string, { response, sha256 }: Answer) {
  await response.body?.cancel();
  const [, whole] = /^bytes \*\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  if (naturalNumber(whole) === partial.length) return sha256;
  const arrived = partial.length;
  await partial.restart(null);
  throw new DownloadError(url, 'TRUNCATED', `has no bytes after ${arrived}; expected the rest of the file`);
}

/** Calls `emit` for the first bytes, then whenever another half per cent (or MiB, where the total is not known) is there, and at the end. */
function teller(total: number | null, emit: (loaded: number, progress: number | null) => void) {
  const step = total === null ? 2 ** 20 : total / 200;
  let next = 0;
  return (loaded: number): void => {
    if (loaded < next && loaded !== total) return;
    next = loaded + step;
    emit(loaded, total ? (100 * loaded) / total : null);
  };
}

/** Aborts a request when nothing comes for too long, or when the caller does. */
function watchdog(stallTimeout: number, url: string, outer: AbortSignal | undefined) {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stalled: DownloadError | null = null;
  const abort = (): void => controller.abort(outer?.reason);
  const reset = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      stalled = new DownloadError(url, 'STALLED', `sent nothing for ${stallTimeout} ms; expected the file`);
      controller.abort(stalled);
    }, stallTimeout);
  };
  outer?.throwIfAborted();
  outer?.addEventListener('abort', abort, { once: true });
  reset();
  return {
    signal: controller.signal,
    reset,
    reason: (): DownloadError | null => stalled,
    stop(): void {
      clearTimeout(timer);
      outer?.removeEventListener('abort', abort);
    },
  };
}

function toDownloadError(url: string, error: unknown): Error & { isPassing: boolean } {
  if (error instanceof DownloadError) return error;
  // Only fetch and its streams fail with a TypeError or a DOMException here; anything else, such as a full disk, does not pass.
  if (error instanceof TypeError || error instanceof DOMException) {
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    return new DownloadError(url, 'NETWORK', `cannot be fetched (${cause})`, { cause: error });
  }
  return Object.assign(error as Error, { isPassing: false });
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
  signal?.throwIfAborted();
}
