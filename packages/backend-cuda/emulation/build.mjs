/**
 * Builds the stand-in for NVIDIA's driver with all kernels inside, for tests: emulation/build/libcuda_emulated.so. Only what changed is compiled, two processes
 * do not build at once, and a library in use is never written over.
 *
 *   node emulation/build.mjs [--sanitize] [--keep-going]
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const emulation = fileURLToPath(new URL('.', import.meta.url));
const kernels = fileURLToPath(new URL('../kernels/', import.meta.url));
const compiler = process.env.CXX || 'g++';

const WARNINGS = ['-Wall', '-Wextra', '-Werror', '-Wno-unknown-pragmas', '-Wno-psabi'];
const PLAIN = ['-std=c++17', '-fPIC', '-fvisibility=hidden', '-ffp-contract=off', '-pthread', ...WARNINGS];
const VARIANTS = {
  // The compiler is sure of what it says about uninitialized variables only where it inlines less.
  plain: ['-O2', '-g1', '-Wno-maybe-uninitialized'],
  sanitized: [
    '-O1',
    '-g1',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
    '-fno-omit-frame-pointer',
    '-Wno-maybe-uninitialized',
  ],
};

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
  const unlock = await lock(join(build, 'lock'));
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
    const name = mutation
      ? `libcuda_${basename(mutation.file, '.cu')}_mutation_${mutation.number}.so`
      : folder === kernels
        ? 'libcuda_emulated.so'
        : `libcuda_${basename(folder)}.so`;
    return { ...link(objects, join(build, name), flags), failures };
  } finally {
    unlock();
  }
}

/** Objects of all units that compile, and what the compiler says of the others. */
async function compileAll(units, build) {
  const objects = units.map(({ path, flags }) => {
    const key = createHash('sha256')
      .update([compiler, path, ...flags].join('\0'))
      .digest('hex')
      .slice(0, 12);
    return join(build, `${basename(path).replace('.', '_')}-${key}.o`);
  });
  const failures = [];
  const failed = new Set();
  const stale = units.map((_, n) => n).filter((n) => !current(objects[n]));
  const work = async () => {
    for (let n = stale.shift(); n !== undefined; n = stale.shift()) {
      const text = await compile(units[n], objects[n]);
      if (text === null) continue;
      failed.add(objects[n]);
      failures.push({ file: basename(units[n].path), kernel: units[n].kernel, text });
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return { objects: objects.filter((object) => !failed.has(object)), failures };
}

/** True where an object is newer than all it was made from, as the compiler listed that. */
function current(object) {
  const list = object.replace(/o$/, 'd');
  if (!existsSync(object) || !existsSync(list)) return false;
  const made = statSync(object).mtimeMs;
  const sources = readFileSync(list, 'utf8')
    .replaceAll('\\\n', ' ')
    .replace(/^[^:]*:/, '')
    .split(/\s+/)
    .filter((path) => path !== '');
  return sources.every((path) => existsSync(path) && statSync(path).mtimeMs <= made);
}

/** What the compiler says where it fails, else null. */
function compile({ path, flags }, object) {
  const unfinished = `${object}.${process.pid}`;
  const list = object.replace(/o$/, 'd');
  const began = new Date();
  const args = [
    '-n',
    '19',
    compiler,
    ...flags,
    '-MMD',
    '-MF',
    list,
    '-MT',
    'object',
    '-c',
    path,
    '-o',
    unfinished,
  ];
  return new Promise((resolve, reject) => {
    const child = spawn('nice', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr.on('data', (data) => (text += data));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0) {
        rmSync(unfinished, { force: true });
        resolve(text);
        return;
      }
      // A source that changes while it is compiled is newer than its object.
      utimesSync(unfinished, began, began);
      renameSync(unfinished, object);
      resolve(null);
    });
  });
}

function link(objects, library, flags) {
  const list = objects.join('\n');
  const listed = `${library}.txt`;
  const made = existsSync(library) ? statSync(library).mtimeMs : 0;
  const same = made > 0 && existsSync(listed) && readFileSync(listed, 'utf8') === list;
  if (same && objects.every((object) => statSync(object).ctimeMs <= made)) return { library, built: false };
  const unfinished = `${library}.${process.pid}`;
  const result = spawnSync(compiler, [...flags, '-shared', ...objects, '-o', unfinished], {
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`the emulation does not link:\n${result.stderr}`);
  renameSync(unfinished, library);
  writeFileSync(listed, list);
  return { library, built: true };
}

/** Waits until no other process builds. One that died leaves a lock that counts no more. */
async function lock(path) {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const owner = Number(existsSync(path) ? readFileSync(path, 'utf8') : 0);
    if (owner > 0 && !alive(owner)) rmSync(path, { force: true });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
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
