/** Requests that go through redirects and keep what every answer on the way said about the file. */
import { DownloadError } from './errors.js';

/** A file's answer, and what the servers stated about the file. */
export interface Answer {
  response: Response;
  /** SHA-256 that one of the servers stated, hexadecimal. */
  sha256: string | null;
  /** Length that the first server stated for the file behind its redirect. */
  size: number | null;
}

const MOST_REDIRECTS = 10;

/**
 * The hub answers with a redirect to a content network, and only this redirect carries `X-Linked-Etag`, the file's SHA-256, and
 * `X-Linked-Size`. So redirects are followed here where the platform allows it; browsers hide them, and follow by themselves.
 *
 * @throws DownloadError for a redirect without an address, to another protocol, or too many of them
 */
export async function follow(url: string, init: RequestInit): Promise<Answer> {
  let at = url;
  let sha256: string | null = null;
  let size: number | null = null;
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    let response = await fetch(at, { ...init, redirect: 'manual' });
    const hidden = response.type === 'opaqueredirect';
    if (hidden) response = await fetch(at, { ...init, redirect: 'follow' });
    const { headers, status } = response;
    sha256 ??= statedHash(headers);
    size ??= naturalNumber(headers.get('x-linked-size'));
    const isRedirect = [301, 302, 303, 307, 308].includes(status);
    if (hidden || !isRedirect) return { response, sha256, size };
    await response.body?.cancel();
    at = nextAddress(at, headers.get('location'));
  }
  throw new DownloadError(
    url,
    'REDIRECT',
    `was redirected more than ${MOST_REDIRECTS} times; expected a file`,
  );
}

function nextAddress(from: string, location: string | null): string {
  const next = location === null ? null : tryUrl(location, from);
  if (!next) {
    throw new DownloadError(from, 'REDIRECT', `was redirected to '${location}'; expected an address`);
  }
  const isSafe =
    next.protocol === 'https:' || (next.protocol === 'http:' && new URL(from).protocol === 'http:');
  if (!isSafe) {
    throw new DownloadError(from, 'REDIRECT', `was redirected to '${next.protocol}'; expected 'https:'`);
  }
  return next.href;
}

function tryUrl(location: string, from: string): URL | null {
  try {
    return new URL(location, from);
  } catch {
    return null;
  }
}

/** An entity tag of 64 hexadecimal digits is the SHA-256 of a file in Git's large file storage. */
function statedHash(headers: Headers): string | null {
  for (const name of ['x-linked-etag', 'etag']) {
    const [, hash] = /^(?:W\/)?"?([0-9a-f]{64})"?$/i.exec(headers.get(name) ?? '') ?? [];
    if (hash) return hash.toLowerCase();
  }
  return null;
}

export function naturalNumber(text: string | null | undefined): number | null {
  return text && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
