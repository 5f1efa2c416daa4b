/**
 * Builds the stand-in for NVIDIA's driver with all kernels inside, for tests: emulation/build/libcuda_emulated.so. Only what changed is compiled, two processes
 * do not build the same at once, and a library in use is never written over.
 *
 *   node emulation/build.mjs [--sanitize] [--keep-going]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileAll, compiler, link, lock, VARIANTS, WARNINGS } from './compile.mjs';

const emulation = fileURLToPath(new URL('.', import.meta.url));
const kernels = fileURLToPath(new URL('../kernels/', import.meta.url));
const PLAIN = ['-std=c++17', '-fPIC', '-fvisibility=hidden', '-ffp-contract=off', '-pthread', ...WARNINGS];

/** Why nothing can be built here, or null. */
export function emulationMissing() {
  if (process.platform !== 'linux')
    return `the emulation is written for Linux, and this is ${process.platform}`;
  const found = spawnSync(compiler, ['--version'], { stdio: 'ignore' });
  return found.status === 0 ? null : `${compiler} cannot be found`;
}

const cudaFiles = (folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.cu'))
    .sort()
    .map((name) => join(folder, name));

/**
 * @param {object} [options]
 * @param {boolean} [options.sanitize] with AddressSanitizer and UndefinedBehaviorSanitizer: for a process that has them preloaded
 * @param {boolean} [options.keepGoing] leaves kernel files out that do not compile, after saying why
 * @param {string} [options.folder] of the kernel files; those of the package where it is absent
 * @param {{ file: string, number: number }} [options.mutation] compiles this kernel file with -DMUTATION_<number>
 * @returns {Promise<{ library: string, built: boolean, failures: { file: string, text: string }[] }>}
 * @throws Error with what the compiler says
 */
export async function buildEmulation(options = {}) {
  const missing = emulationMissing();
  if (missing) throw new Error(missing);
  const { sanitize = false, keepGoing = false, folder = kernels, mutation } = options;
  const build = join(emulation, 'build', sanitize ? 'sanitized' : 'plain');
  mkdirSync(build, { recursive: true });
  const flags = [...PLAIN, ...VARIANTS[sanitize ? 'sanitized' : 'plain'], `-I${kernels}`];
  const name = mutation
    ? `libcuda_${basename(mutation.file, '.cu')}_mutation_${mutation.number}.so`
    : folder === kernels
      ? 'libcuda_emulated.so'
      : `libcuda_${basename(folder)}.so`;
  const library = join(build, name);
  const unlock = await lock(`${library}.lock`);
  try {
    const runtime = readdirSync(emulation)
      .filter((name) => name.endsWith('.cc'))
      .map((name) => join(emulation, name));
    // Products of matrices are nearly all the time of some tests.
    const fast = (path) => (basename(path) === 'tensor_cores.cc' && !sanitize ? ['-O3'] : []);
    const units = [
      ...runtime.map((path) => ({ path, flags: [...flags, ...fast(path)], kernel: false })),
      ...cudaFiles(folder).map((path) => {
        const mutated = mutation !== undefined && basename(path) === mutation.file;
        return {
          path,
          flags: [...flags, ...(mutated ? [`-DMUTATION_${mutation.number}`] : []), '-x', 'c++'],
          kernel: true,
        };
      }),
    ];
    if (mutation && !units.some(({ path }) => basename(path) === mutation.file)) {
      throw new Error(`there is no kernel file ${mutation.file} in ${folder}`);
    }
    const { objects, failures } = await compileAll(units, build);
    const fatal = failures.find(({ kernel }) => !keepGoing || !kernel);
    if (fatal) throw new Error(`${fatal.file} does not compile:\n${fatal.text}`);
    return { ...link(objects, library, flags), failures };
  } finally {
    unlock();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const missing = emulationMissing();
  if (missing) {
    console.log(`@dsconv/backend-cuda: emulation not built (${missing})`);
  } else {
    const { library, built, failures } = await buildEmulation({
      sanitize: process.argv.includes('--sanitize'),
      keepGoing: process.argv.includes('--keep-going'),
    });
    for (const { file, text } of failures) console.error(`${file} is left out:\n${text}`);
    console.log(`@dsconv/backend-cuda: ${library} ${built ? 'built' : 'is up to date'}`);
  }
}
