/**
 * Runs when the package is installed: builds the addon where there is a C++ compiler and no prebuilt binary fits. It needs no CUDA toolkit and no GPU. It never
 * fails, because other backends serve without it; why there is no addon is kept in native/build-error.txt, where `dsconv doctor` finds it.
 */
const { spawnSync } = require('node:child_process');
const { existsSync, readdirSync, rmSync, statSync, writeFileSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const { dirname, join } = require('node:path');

const folder = join(__dirname, 'native');
const binary = join(folder, 'build', 'Release', 'dsconv_cuda.node');
const errorFile = join(folder, 'build-error.txt');

function main() {
  if (process.env.DSCONV_SKIP_NATIVE) return 'skipped, because DSCONV_SKIP_NATIVE is set';
  if (!existsSync(join(folder, 'binding.gyp'))) return 'skipped: no sources';
  if (upToDate()) return 'up to date';
  // A build that is merely old means that someone works on the sources.
  if (!existsSync(binary) && prebuilt()) return 'prebuilt';
  const args = ['rebuild', `--jobs=${availableParallelism()}`, '--loglevel=error'];
  // Node's headers usually lie beside it; node-gyp would download them.
  const prefix = join(dirname(process.execPath), '..');
  if (!process.env.npm_config_nodedir && existsSync(join(prefix, 'include', 'node', 'node_api.h'))) {
    args.push(`--nodedir=${prefix}`);
  }
  // npm names its own node-gyp in the environment of scripts.
  const gyp = process.env.npm_config_node_gyp;
  const [command, ...rest] = gyp ? [process.execPath, gyp, ...args] : ['node-gyp', ...args];
  const result = spawnSync(command, rest, { cwd: folder, encoding: 'utf8' });
  if (result.status === 0) {
    rmSync(errorFile, { force: true });
    return 'built';
  }
  const output = `${result.error?.message ?? ''}\n${result.stdout ?? ''}\n${result.stderr ?? ''}`;
  const line =
    output.split('\n').find((text) => /error|not found|ENOENT/i.test(text)) ?? `exit code ${result.status}`;
  writeFileSync(errorFile, `${line.trim()}\n\n${output}`);
  return `not built, other backends will serve (${line.trim()})`;
}

/** A build that is newer than every source. */
function upToDate() {
  if (!existsSync(binary)) return false;
  const built = statSync(binary).mtimeMs;
  const sources = readdirSync(join(folder, 'src')).map((name) => join(folder, 'src', name));
  return [join(folder, 'binding.gyp'), ...sources].every((path) => statSync(path).mtimeMs <= built);
}

/** True when node-gyp-build finds a binary for this platform that loads. */
function prebuilt() {
  if (!existsSync(join(folder, 'prebuilds'))) return false;
  try {
    require('node-gyp-build')(folder);
    return true;
  } catch {
    return false;
  }
}

try {
  console.log(`@dsconv/backend-cuda: native addon ${main()}`);
} catch (error) {
  console.log(`@dsconv/backend-cuda: native addon not built, other backends will serve (${error.message})`);
}
