/** Where files are kept between calls: a folder in Node, the Cache API in browsers. */

/** What of a file has arrived. */
export interface PartialFile {
  /** Bytes that are there. */
  readonly length: number;
  /** The entity tag of the answer they came from, or null. */
  readonly tag: string | null;
  /** Forgets what is there; what is appended next comes from an answer with this tag. */
  restart(tag: string | null): Promise<void>;
  append(chunk: Uint8Array): Promise<void>;
  /** Keeps what is there for a later call. */
  keep(): Promise<void>;
  /** All bytes. */
  bytes(): Promise<Uint8Array>;
  /** Removes it. */
  discard(): Promise<void>;
}

/** Names are paths with '/' between their parts, made by this package. */
export interface Store {
  /** For error messages: a folder or the name of a cache. */
  readonly place: string;
  has(name: string): Promise<boolean>;
  /** Null when it is not there. */
  read(name: string): Promise<Uint8Array | null>;
  /** Completely or not at all. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
  /** Opens what an earlier call kept of a file, or begins one. */
  partial(name: string): Promise<PartialFile>;
}

/**
 * @param cacheDir folder in Node, name of the cache in a browser; default what the platform has for such files, `DSCONV_CACHE` in Node
 */
export async function openStore(cacheDir: string | undefined): Promise<Store> {
  if (typeof process !== 'undefined' && process.versions?.node !== undefined) {
    const { folderStore } = await import('./folder-store.js');
    return folderStore(cacheDir);
  }
  const { cacheStore } = await import('./cache-store.js');
  return cacheStore(cacheDir);
}
