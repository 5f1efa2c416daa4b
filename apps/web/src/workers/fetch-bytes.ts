import { DSConvError } from '@dsconv/core';
import type { Tell } from './channel.js';

/** A file could not be had from its server. */
export class FetchError extends DSConvError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('FETCH', message, options);
  }
}

/**
 * A whole file, its progress told.
 *
 * @throws FetchError naming the address
 */
export async function fetchBytes(url: string, tell: Tell): Promise<Uint8Array<ArrayBuffer>> {
  const task = `Downloading ${
    url
      .replace(/[?#].*$/, '')
      .split('/')
      .at(-1) || url
  }`;
  tell({ task, done: 0, total: null });
  const response = await fetch(url).catch((cause: unknown) => {
    throw new FetchError(
      `${url} cannot be fetched: the address is wrong, the server is down, or it lets no page of another site read it (CORS)`,
      { cause },
    );
  });
  if (!response.ok) throw new FetchError(`${url} answered with status ${response.status}; expected 200`);
  const length = Number(response.headers.get('content-length'));
  const total = length > 0 && !response.headers.has('content-encoding') ? length : null;
  const chunks: Uint8Array[] = [];
  let done = 0;
  const reader = response.body!.getReader();
  for (;;) {
    const { value } = await reader.read();
    if (!value) break;
    chunks.push(value);
    done += value.length;
    tell({ task, done, total });
  }
  const bytes = new Uint8Array(done);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
