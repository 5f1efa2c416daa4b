/**
 * `npm run cuda-kit`: all that a machine with a GPU needs for `test:cuda` and `bench:cuda`, in the folder build/cuda-kit: built packages, what they depend on, and this very Node.js, for
 * machines that have none. Nothing is fetched. There, one command unpacks it and runs everything:
 *
 *     bash cuda-kit/run.sh OUT [what bench/cuda.mjs takes]
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const kit = join(root, 'build', 'cuda-kit');

/** Packages that the scripts import; what those depend on follows. */
const ROOTS = [
  '@dsconv/backend-cuda',
  '@dsconv/backend-cpu',
  '@dsconv/conformance',
  '@dsconv/converter',
  '@dsconv/models',
];
/** Of the project's own packages: what runs. */
const OWN = [
  'package.json',
  'dist',
  'assets',
  'native/build/Release',
  'native/prebuilds',
  'kernels/build',
  'wasm/build',
];
/** Scripts that run there. */
const SCRIPTS = ['bench', 'scripts/test-cuda.mjs', 'scripts/cuda-kit-run.sh'];
/** Declared by packages, needed by nothing that runs there. */
const NEEDLESS =
  /^(@types\/|@webgpu\/types$|node-addon-api$|@tensorflow\/tfjs-(layers|converter)$|@tensorflow\/tfjs$)/;

/** The folders of the packages, by name. */
function closure(names, found = new Map()) {
  for (const name of names) {
    if (found.has(name) || NEEDLESS.test(name)) continue;
    const folder = join(root, 'node_modules', name);
    if (!existsSync(folder)) throw new Error(`package ${name} is not installed; expected it in node_modules`);
    found.set(name, folder);
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const optional = Object.keys(manifest.peerDependenciesMeta ?? {});
    const peers = Object.keys(manifest.peerDependencies ?? {}).filter((peer) => !optional.includes(peer));
    closure([...Object.keys(manifest.dependencies ?? {}), ...peers], found);
  }
  return found;
}

const keep = (path) =>
  !/\.(map|ts|md|o|d|a|flow)$/.test(path) && !/\/(obj\.target|\.deps|cache|test|tests)$/.test(path);

function copyPackage(name, from) {
  const to = join(kit, 'node_modules', name);
  const parts = name.startsWith('@dsconv/') ? OWN.filter((part) => existsSync(join(from, part))) : ['.'];
  for (const part of parts) {
    mkdirSync(dirname(join(to, part)), { recursive: true });
    // TensorFlow.js ships every package many times over; Node reads one file of it.
    const single = name.startsWith('@tensorflow/');
    if (single) {
      const { main } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
      for (const file of ['package.json', main]) {
        mkdirSync(dirname(join(to, file)), { recursive: true });
        cpSync(join(from, file), join(to, file));
      }
    } else cpSync(join(from, part), join(to, part), { recursive: true, dereference: true, filter: keep });
  }
}

function bytesOf(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, path, name }) => sum + statSync(join(parentPath ?? path, name)).size, 0);
}

rmSync(kit, { recursive: true, force: true });
mkdirSync(kit, { recursive: true });
for (const [name, from] of closure(ROOTS)) copyPackage(name, from);
for (const script of SCRIPTS) {
  mkdirSync(dirname(join(kit, script)), { recursive: true });
  cpSync(join(root, script), join(kit, script), {
    recursive: true,
    filter: (path) => basename(path) !== '__pycache__',
  });
}
cpSync(join(root, 'scripts/cuda-kit-run.sh'), join(kit, 'run.sh'));
chmodSync(join(kit, 'run.sh'), 0o755);
writeFileSync(join(kit, 'package.json'), '{ "private": true, "type": "module" }\n');
const node = join(kit, 'node');
cpSync(process.execPath, node);
execFileSync('strip', [node]);
execFileSync('xz', ['-T2', '-6', node]);
console.log(`${kit}: ${(bytesOf(kit) / 2 ** 20).toFixed(0)} MiB`);
