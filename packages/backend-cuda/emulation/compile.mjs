/** Compiles and links C++ for the tests: only what changed, one library not in two processes at once, and never over a library in use. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';

export const compiler = process.env.CXX || 'g++';

export const WARNINGS = ['-Wall', '-Wextra', '-Werror', '-Wno-unknown-pragmas', '-Wno-psabi'];
/** The compiler is sure of what it says about uninitialized variables only where it inlines less. */
export const VARIANTS = {
  plain: ['-O2', '-g1', '-Wno-maybe-uninitialized'],
  sanitized: [
    '-O1',
    '-g1',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
    '-fno-omit-frame-pointer',
    // The compiler takes minutes to put the checks into unrolled loops; as calls they take seconds, and null pointers trap anyway.
    '--param=asan-instrumentation-with-call-threshold=0',
    '-fno-sanitize=null,object-size,pointer-overflow',
    '-Wno-maybe-uninitialized',
  ],
};

/** Objects of all units that compile, and what the compiler says of the others. */
export async function compileAll(units, build) {
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
  const unfinishedList = `${list}.${process.pid}`;
  const began = new Date();
  const args = [
    '-n',
    '19',
    compiler,
    ...flags,
    '-MMD',
    '-MF',
    unfinishedList,
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
        for (const path of [unfinished, unfinishedList]) rmSync(path, { force: true });
        resolve(text);
        return;
      }
      // A source that changes while it is compiled is newer than its object.
      utimesSync(unfinished, began, began);
      renameSync(unfinishedList, list);
      renameSync(unfinished, object);
      resolve(null);
    });
  });
}

/** @returns {{ library: string, built: boolean }} */
export function link(objects, library, flags) {
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
export async function lock(path) {
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
