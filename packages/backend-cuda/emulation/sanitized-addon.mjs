/**
 * Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer, for a Node that has their libraries preloaded.
 *
 *   node emulation/sanitized-addon.mjs
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileAll, compiler, link, lock, VARIANTS } from './compile.mjs';

const native = fileURLToPath(new URL('../native/', import.meta.url));

/** The library to preload, or null where the compiler has none. */
export function sanitizerLibrary() {
  const result = spawnSync(compiler, ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  const path = result.stdout?.trim() ?? '';
  return path.includes('/') && existsSync(path) ? path : null;
}

/** Folder of node_api.h: it lies beside Node. */
function headers() {
  const prefix = join(dirname(process.execPath), '..');
  return [process.env.npm_config_nodedir, prefix]
    .filter(Boolean)
    .map((folder) => join(folder, 'include', 'node'))
    .find((folder) => existsSync(join(folder, 'node_api.h')));
}

/** Why it cannot be built here, or null. */
export function sanitizedMissing() {
  if (process.platform !== 'linux') return 'the sanitizers are set up for Linux';
  if (!sanitizerLibrary()) return `${compiler} has no libasan.so`;
  if (!headers()) return 'the headers of Node do not lie beside it';
  return null;
}

/**
 * @returns {Promise<string>} path of the addon
 * @throws Error with what the compiler says
 */
export async function buildSanitizedAddon() {
  const require = createRequire(import.meta.url);
  const build = fileURLToPath(new URL('build/addon/', import.meta.url));
  mkdirSync(build, { recursive: true });
  // As binding.gyp has them.
  const defines = [
    'NAPI_VERSION=8',
    'NAPI_CPP_EXCEPTIONS',
    'NODE_ADDON_API_DISABLE_DEPRECATED',
    'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
  ];
  const flags = [
    ...[
      '-std=c++17',
      '-fPIC',
      '-fvisibility=hidden',
      '-pthread',
      '-Wall',
      '-Wextra',
      '-Wno-unused-parameter',
    ],
    ...VARIANTS.sanitized,
    ...defines.map((define) => `-D${define}`),
    // What they contain is not ours to warn about.
    ...['-isystem', headers(), '-isystem', require('node-addon-api').include_dir],
  ];
  const unlock = await lock(join(build, 'lock'));
  try {
    const sources = readdirSync(join(native, 'src')).filter((name) => name.endsWith('.cc'));
    const { objects, failures } = await compileAll(
      sources.map((name) => ({ path: join(native, 'src', name), flags, kernel: false })),
      build,
    );
    if (failures.length > 0) throw new Error(`${failures[0].file} does not compile:\n${failures[0].text}`);
    return link(objects, join(build, 'dsconv_cuda.node'), flags).library;
  } finally {
    unlock();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const missing = sanitizedMissing();
  console.log(
    `@dsconv/backend-cuda: ${missing ? `no sanitized addon (${missing})` : await buildSanitizedAddon()}`,
  );
}
