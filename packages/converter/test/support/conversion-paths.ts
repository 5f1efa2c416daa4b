import { join } from 'node:path';
import { beforeEach } from 'vitest';
import { scratchFolder } from './scratch-folder.js';

/** A folder to convert from and one to convert to, new for every test of the file; `scratch` holds them. */
export function conversionPaths(): { readonly scratch: string; source: string; target: string } {
  const scratch = scratchFolder();
  const paths = { scratch, source: '', target: '' };
  let count = 0;
  beforeEach(() => {
    paths.source = join(scratch, `source-${count}`);
    paths.target = join(scratch, `target-${count++}`);
  });
  return paths;
}
