/** Networks and pictures that are measured on but not part of the project; their folder is given by DSCONV_DATA. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = process.env.DSCONV_DATA ?? fileURLToPath(new URL('../../shared/data', import.meta.url));

/** Path of a file or folder there, or null where it is absent. */
export function dataPath(name) {
  const path = join(ROOT, name);
  return existsSync(path) ? path : null;
}
