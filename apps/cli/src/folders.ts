import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { toDSConvError } from './errors.js';

export interface FolderContents {
  files: string[];
  folders: string[];
}

/** Compares names as people do: 2 before 10. */
export function compareNames(a: string, b: string): number {
  return collator.compare(a, b);
}

const collator = new Intl.Collator('en', { numeric: true });

/** Names of the files and folders in a folder, sorted, links followed, hidden ones left out. */
export async function listFolder(path: string): Promise<FolderContents> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    throw toDSConvError(error, path);
  });
  const contents: FolderContents = { files: [], folders: [] };
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const status = entry.isSymbolicLink() ? await stat(join(path, entry.name)).catch(() => null) : entry;
    if (status?.isDirectory()) contents.folders.push(entry.name);
    else if (status?.isFile()) contents.files.push(entry.name);
  }
  contents.files.sort(compareNames);
  contents.folders.sort(compareNames);
  return contents;
}
