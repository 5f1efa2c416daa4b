/**
 * Compiles kernels/*.cu into what the package ships: kernels/build/kernels.fatbin.br, machine code for every architecture and PTX for those to come, and
 * kernels/build/kernels.ptx.br, text that drivers older than the compiler translate themselves. Where nvcc is missing it says so and succeeds. A fatbin can be
 * compressed too, but then each image alone; as a whole they take half of that.
 *
 * Each file becomes PTX for a few virtual architectures, each PTX relocatable machine code for real ones, and that is linked by architecture. Every step is kept
 * by the hash of what goes into it. Warnings and spilled registers are errors.
 *
 *   node kernels/build.mjs [--arch 80,90a] [--verbose]
 */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import { mergePtx } from './merge-ptx.mjs';

/** Real architectures, and the virtual one that each is compiled from: code that asks for __CUDA_ARCH__ sees the latter. */
const TARGETS = { 75: '75', 80: '80', 86: '80', 89: '80', 90: '90', '90a': '90a', 100: '90', 120: '90' };
/** Compiled to see that it can be, and not in the fatbin: its devices, those of 9.0, have the code of 90a, and would have two to choose from. */
const NOT_SHIPPED = new Set(['90']);
/**
 * Assembled from one text of all files, not linked: in relocatable code the subroutine of a division is a function that ptxas does not see, and then it makes
 * products of wgmma wait for each other.
 */
const WHOLE = new Set(['90a']);
/** In files for one compute capability alone, whose instructions no other architecture has. */
const CAPABILITY = /^#define KERNEL_CAPABILITY (\d+)$/m;
/** In the fatbin as PTX, for architectures that come later. */
const NEWEST = '120';
/** The text: for all devices, and of the PTX version that the oldest driver takes (CUDA 11.8: driver.h). */
const PORTABLE = { arch: '75', version: '7.8' };
const MOST_BYTES = 2 * 2 ** 20;
/** What ptxas says, as a mere remark, where it makes products of wgmma wait for each other. */
const SERIALIZED = /wgmma\.mma_async instructions are serialized.*/;
/** Kernels that may spill, and why. */
const MAY_SPILL = new Map([]);

const folder = fileURLToPath(new URL('.', import.meta.url));
const build = join(folder, 'build');
const cache = join(build, 'cache');

const sha = (...parts) => createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 20);

/** nvcc, where it is in the path or where CUDA_HOME says; and the tools beside it. */
function findTools() {
  const name = process.platform === 'win32' ? 'nvcc.exe' : 'nvcc';
  const folders = [
    process.env.CUDA_HOME && join(process.env.CUDA_HOME, 'bin'),
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  for (const path of folders.filter(Boolean).map((entry) => join(entry, name))) {
    if (!existsSync(path)) continue;
    // What is in the path may be a link or a script; nvcc itself knows where it is.
    const dryRun = spawnSync(path, ['--dryrun', '-cubin', 'x.cu'], { encoding: 'utf8' });
    const top = /^#\$ _HERE_=(.*)$/m.exec(dryRun.stderr ?? '')?.[1];
    const bin = top ?? dirname(realpathSync(path));
    const version = spawnSync(path, ['--version'], { encoding: 'utf8' });
    if (version.status !== 0) continue;
    return { nvcc: path, bin, version: version.stdout.trim() };
  }
  return null;
}

/** Runs a tool, and gives what it says; what it says when it fails becomes the error. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const nice = process.platform === 'win32' ? [command, args] : ['nice', ['-n', '19', command, ...args]];
    execFile(...nice, { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${basename(command)} ${args.join(' ')}\n${stdout}${stderr}`));
      else resolve(stdout + stderr);
    });
  });
}

/** The file of this key in the cache; `make` writes it under another name first. What it says is kept beside it. */
async function cached(key, extension, make) {
  const path = join(cache, `${key}.${extension}`);
  const log = `${path}.log`;
  if (!existsSync(path) || !existsSync(log)) {
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(log, await make(unfinished));
    renameSync(unfinished, path);
  }
  return { path, log: readFileSync(log, 'utf8') };
}

async function compress(bytes, to) {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    // Far enough to see one architecture's code from the next one's.
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  writeFileSync(to, await promisify(brotliCompress)(bytes, { params }));
  return '';
}

/** Does all tasks, as many at a time as there are cores, and throws the first error. */
async function inParallel(tasks) {
  const results = new Array(tasks.length);
  let next = 0;
  const work = async () => {
    for (let n = next++; n < tasks.length; n = next++) results[n] = await tasks[n]();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return results;
}

/** Kernels of which ptxas -v says that they spill registers. */
export function spillsOf(log) {
  const found = [];
  let kernel = '';
  for (const line of log.split('\n')) {
    kernel = /(?:Compiling entry function|Function properties for) '?([\w$]+)'?/.exec(line)?.[1] ?? kernel;
    const bytes = Number(/(\d+) bytes spill stores/.exec(line)?.[1] ?? 0);
    if (bytes > 0) found.push({ kernel, bytes });
  }
  return found;
}

async function main(only) {
  const tools = findTools();
  if (!tools) return 'kernels not built: nvcc cannot be found';
  mkdirSync(cache, { recursive: true });
  const files = readdirSync(folder, { recursive: true }).filter(
    (name) => /\.(cuh?|h)$/.test(name) && !name.startsWith('build'),
  );
  const sources = files.filter((name) => name.endsWith('.cu')).sort();
  // A header may be included by any file; all of them in the key cost a few compilations more than needed, and never one too few.
  const headers = sha(
    ...files
      .filter((name) => !name.endsWith('.cu'))
      .sort()
      .map((name) => name + readFileSync(join(folder, name), 'utf8')),
  );
  const chosen = Object.keys(TARGETS).filter((arch) => !only || only.includes(arch));
  const used = new Set();
  const tool = (name) => join(tools.bin, name);

  const ptx = async (name, arch) => {
    const flags = [
      '-ptx',
      `-arch=compute_${arch}`,
      '-O3',
      '-std=c++17',
      '-Werror',
      'all-warnings',
      `-I${folder}`,
    ];
    const key = sha('ptx', tools.version, headers, readFileSync(join(folder, name), 'utf8'), name, ...flags);
    const made = await cached(key, 'ptx', (to) => run(tools.nvcc, [...flags, join(folder, name), '-o', to]));
    used.add(key);
    return made.path;
  };
  const assemble = async (from, arch, relocatable) => {
    const flags = [`-arch=sm_${arch}`, '-v', '--warning-as-error', ...(relocatable ? ['-c'] : [])];
    const key = sha('cubin', tools.version, readFileSync(from, 'utf8'), ...flags);
    used.add(key);
    return cached(key, 'cubin', (to) => run(tool('ptxas'), [...flags, from, '-o', to]));
  };

  const virtual = [
    ...new Set([...chosen.map((arch) => TARGETS[arch]), ...(only ? [] : [NEWEST, PORTABLE.arch])]),
  ];
  const sourcesOf = (arch) =>
    sources.filter((name) => {
      const capability = CAPABILITY.exec(readFileSync(join(folder, name), 'utf8'))?.[1];
      return capability === undefined || `${capability}a` === arch;
    });
  const pairs = virtual.flatMap((arch) => sourcesOf(arch).map((name) => ({ arch, name })));
  const texts = await inParallel(
    pairs.map(
      ({ arch, name }) =>
        () =>
          ptx(name, arch),
    ),
  );
  const textsOf = (arch) => texts.filter((_, n) => pairs[n].arch === arch);

  const merged = (arch, to, version) => {
    const path = join(cache, to);
    writeFileSync(
      path,
      mergePtx(
        textsOf(arch).map((text) => readFileSync(text, 'utf8')),
        version,
      ),
    );
    return path;
  };
  // The longest first.
  const wholeFirst = chosen.toSorted((a, b) => Number(WHOLE.has(b)) - Number(WHOLE.has(a)));
  const jobs = wholeFirst.flatMap((arch) => {
    if (WHOLE.has(arch)) return { arch, path: merged(TARGETS[arch], `whole-${arch}.ptx`), name: 'all files' };
    const names = sourcesOf(TARGETS[arch]);
    return textsOf(TARGETS[arch]).map((path, n) => ({ arch, path, name: names[n] }));
  });
  const objects = await inParallel(
    jobs.map(
      ({ arch, path }) =>
        () =>
          assemble(path, arch, !WHOLE.has(arch)),
    ),
  );
  const spills = objects.flatMap(({ log }, n) =>
    spillsOf(log)
      .filter(({ kernel }) => !MAY_SPILL.has(kernel))
      .map(({ kernel, bytes }) => `${jobs[n].name}: ${kernel} spills ${bytes} bytes on sm_${jobs[n].arch}`),
  );
  if (spills.length > 0) throw new Error(`registers are spilled:\n${spills.join('\n')}`);
  for (const [n, { log }] of objects.entries()) {
    const remark = SERIALIZED.exec(log);
    if (remark) throw new Error(`${jobs[n].name} on sm_${jobs[n].arch}: ${remark[0]}`);
  }
  if (only) return `${sources.length} files compile for ${chosen.map((arch) => `sm_${arch}`).join(', ')}`;

  const linked = await inParallel(
    chosen
      .filter((arch) => !NOT_SHIPPED.has(arch))
      .map((arch) => async () => {
        const parts = objects.filter((_, n) => jobs[n].arch === arch).map(({ path }) => path);
        if (WHOLE.has(arch)) return { arch, path: parts[0] };
        const key = sha('linked', tools.version, arch, ...parts);
        used.add(key);
        const args = (to) => [`-arch=sm_${arch}`, ...parts, '-o', to];
        return { arch, ...(await cached(key, 'linked', (to) => run(tool('nvlink'), args(to)))) };
      }),
  );
  const newest = merged(NEWEST, 'newest.ptx');
  const portable = merged(PORTABLE.arch, 'portable.ptx', PORTABLE.version);
  // Assembled to be sure that they can be: drivers do it for users.
  await inParallel([() => assemble(newest, NEWEST, false), () => assemble(portable, PORTABLE.arch, false)]);

  const images = [
    ...linked.map(({ arch, path }) => `--image3=kind=elf,sm=${arch},file=${path}`),
    `--image3=kind=ptx,sm=${NEWEST},file=${newest}`,
  ];
  const fatbin = join(cache, 'kernels.fatbin');
  await run(tool('fatbinary'), ['-64', '--compress-mode=none', `--create=${fatbin}`, ...images]);
  const compressed = await inParallel(
    [fatbin, portable].map((path) => async () => {
      const bytes = readFileSync(path);
      const key = createHash('sha256').update(bytes).digest('hex').slice(0, 20);
      used.add(key);
      return (await cached(key, 'br', (to) => compress(bytes, to))).path;
    }),
  );
  const sizes = compressed.map((path) => statSync(path).size);
  const size = sizes.map((bytes) => `${(bytes / 1024).toFixed(0)} KiB`).join(' of machine code and ');
  if (sizes[0] + sizes[1] > MOST_BYTES) {
    throw new Error(
      `the kernels have ${sizes[0] + sizes[1]} bytes (${size} of PTX); expected at most ${MOST_BYTES}`,
    );
  }
  compressed.forEach((path, n) => {
    const to = join(build, ['kernels.fatbin.br', 'kernels.ptx.br'][n]);
    copyFileSync(path, `${to}.${process.pid}`);
    renameSync(`${to}.${process.pid}`, to);
  });
  // What no longer belongs to any file.
  for (const name of readdirSync(cache))
    if (!used.has(name.split('.')[0]) && !/^(newest|portable|kernels|whole-\w+)\./.test(name))
      rmSync(join(cache, name));
  return `${sources.length} files for ${chosen.map((arch) => `sm_${arch}`).join(', ')}: ${size} of PTX`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--arch');
  try {
    console.log(`@dsconv/backend-cuda: ${await main(at < 0 ? null : process.argv[at + 1].split(','))}`);
  } catch (error) {
    console.error(`@dsconv/backend-cuda: ${error.message}`);
    process.exitCode = 1;
  }
}
