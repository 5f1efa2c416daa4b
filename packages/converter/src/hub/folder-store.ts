import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { accessError } from '../errors.js';
import { writeFileAtomic } from '../write-file.js';
import type { PartialFile, Store } from './store.js';

/** A folder of the file system. */
export function folderStore(cacheDir: string | undefined): Store {
  const root = resolve(cacheDir ?? defaultFolder());
  const path = (name: string): string => join(root, name);
  return {
    place: root,
    has: async (name) => (await stat(path(name)).catch(() => null))?.isFile() ?? false,
    read: (name) => readOrNull(path(name)),
    async write(name, bytes) {
      await makeFolder(path(name));
      await writeFileAtomic(path(name), bytes);
    },
    remove: (name) => rm(path(name), { force: true, recursive: true }),
    partial: (name) => openPartial(path(name)),
  };
}

/** As the operating system's conventions have it. */
function defaultFolder(): string {
  const { DSCONV_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (DSCONV_CACHE) return DSCONV_CACHE;
  if (process.platform === 'win32' && LOCALAPPDATA) return join(LOCALAPPDATA, 'dsconv', 'Cache');
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'dsconv');
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'dsconv');
}

async function makeFolder(file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true }).catch((error: unknown) => {
    throw accessError(dirname(file), error, 'write');
  });
}

async function readOrNull(file: string): Promise<Uint8Array | null> {
  try {
    const { buffer, byteOffset, byteLength } = await readFile(file);
    return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw accessError(file, error, 'read');
  }
}

/** `FILE.part` beside the place of the file, and its tag in `FILE.tag`. */
async function openPartial(file: string): Promise<PartialFile> {
  await makeFolder(file);
  const [part, tagFile] = [`${file}.part`, `${file}.tag`];
  const guard = async <T>(doing: Promise<T>): Promise<T> =>
    doing.catch((error: unknown) => {
      throw accessError(part, error, 'write');
    });
  const handle = await guard(open(part, 'a+'));
  const remove = async (): Promise<void> => {
    await handle.close();
    await Promise.all([part, tagFile].map((path) => rm(path, { force: true })));
  };
  let { size: length } = await handle.stat();
  let tag = await readFile(tagFile, 'utf8').catch(() => null);
  return {
    get length() {
      return length;
    },
    get tag() {
      return tag;
    },
    async restart(newTag) {
      await guard(handle.truncate(0));
      length = 0;
      tag = newTag;
      if (newTag === null) await rm(tagFile, { force: true });
      else await guard(writeFile(tagFile, newTag));
    },
    async append(chunk) {
      await guard(handle.writeFile(chunk));
      length += chunk.length;
    },
    keep: () => (length === 0 ? remove() : handle.close()),
    bytes: async () => (await readOrNull(part)) ?? new Uint8Array(0),
    discard: remove,
  };
}
