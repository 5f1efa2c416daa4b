/**
 * `npm run prebuildify`: builds the addon for this platform into native/prebuilds, where node-gyp-build finds it in the packed package. (Not called
 * `prebuild`, which npm would run before every `build`.) In a copy of the sources, so that the build in use stays.
 */
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import prebuildify from 'prebuildify';

const native = dirname(fileURLToPath(import.meta.url));
const copy = join(native, 'build-test', 'prebuild');
rmSync(copy, { recursive: true, force: true });
mkdirSync(copy, { recursive: true });
for (const name of ['binding.gyp', 'src']) cpSync(join(native, name), join(copy, name), { recursive: true });

// Node's headers usually lie beside it; node-gyp would download them.
const prefix = join(dirname(process.execPath), '..');
if (existsSync(join(prefix, 'include', 'node', 'node_api.h'))) process.env.npm_config_nodedir ??= prefix;

await promisify(prebuildify)({
  cwd: copy,
  out: native,
  napi: true,
  targets: [process.versions.node],
  tagLibc: true,
  strip: true,
});
console.log(`prebuilt ${process.platform}-${process.arch} in ${join(native, 'prebuilds')}`);
