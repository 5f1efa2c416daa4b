import type { PartialFile, Store } from './store.js';

/** Names become addresses of a server that no one asks. */
const ORIGIN = 'https://dsconv.invalid/';

const TAG_HEADER = 'x-tag';

/** A cache of the browser's Cache API. It needs a secure context: https, or localhost. */
export async function cacheStore(cacheName = 'dsconv'): Promise<Store> {
  const cache = await caches.open(cacheName);
  const url = (name: string): string => ORIGIN + name.split('/').map(encodeURIComponent).join('/');
  const read = async (name: string): Promise<Uint8Array<ArrayBuffer> | null> => {
    const found = await cache.match(url(name));
    return found ? new Uint8Array(await found.arrayBuffer()) : null;
  };
  return {
    place: `cache '${cacheName}'`,
    has: async (name) => (await cache.match(url(name))) !== undefined,
    read,
    write: (name, bytes) => cache.put(url(name), new Response(bytes as Uint8Array<ArrayBuffer>)),
    async remove(name) {
      await cache.delete(url(name));
    },
    partial: (name) => openPartial(cache, url(`${name}.part`)),
  };
}

/** In memory while it grows, since entries of a cache cannot; `keep` puts it there. */
async function openPartial(cache: Cache, address: string): Promise<PartialFile> {
  const kept = await cache.match(address);
  let chunks: Uint8Array[] = kept ? [new Uint8Array(await kept.arrayBuffer())] : [];
  let tag = kept?.headers.get(TAG_HEADER) ?? null;
  let length = chunks[0]?.length ?? 0;
  const bytes = async (): Promise<Uint8Array<ArrayBuffer>> => {
    const whole = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    chunks = [whole];
    return whole;
  };
  return {
    get length() {
      return length;
    },
    get tag() {
      return tag;
    },
    async restart(newTag) {
      chunks = [];
      length = 0;
      tag = newTag;
    },
    async append(chunk) {
      chunks.push(chunk);
      length += chunk.length;
    },
    async keep() {
      if (length === 0) return;
      const headers = new Headers(tag === null ? [] : [[TAG_HEADER, tag]]);
      await cache.put(address, new Response(await bytes(), { headers }));
    },
    bytes,
    async discard() {
      chunks = [];
      await cache.delete(address);
    },
  };
}
