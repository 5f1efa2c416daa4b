/**
 * Compiles assembly/ to build/dsconv-simd.wasm and build/dsconv-relaxed.wasm, each also with threads, and prints their sizes. `--debug` adds
 * names. AssemblyScript is found by normal resolution from this folder.
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const here = dirname(fileURLToPath(import.meta.url));
const debug = process.argv.includes('--debug');

await mkdir(join(here, 'build'), { recursive: true });
/** An imported, shared memory; what threads change lies below the data (assembly/memory-map.ts). */
const SHARED = ['--importMemory', '--sharedMemory', '--memoryBase', '4096'];

for (const [name, features, memory] of [
  ['simd', ['simd'], []],
  ['relaxed', ['simd', 'relaxed-simd'], []],
  ['simd-threads', ['simd', 'threads'], SHARED],
  ['relaxed-threads', ['simd', 'relaxed-simd', 'threads'], SHARED],
]) {
  const out = join(here, 'build', `dsconv-${name}.wasm`);
  const { error, stderr } = await asc.main([
    join(here, 'assembly', `index-${name}.ts`),
    '--outFile',
    out,
    '-O3',
    '--noAssert',
    '--runtime',
    'stub',
    '--use',
    'abort=',
    '--disableWarning',
    '112',
    '--initialMemory',
    '2',
    '--maximumMemory',
    '65536',
    ...memory,
    ...features.flatMap((f) => ['--enable', f]),
    ...(debug ? ['--debug'] : []),
  ]);
  if (error || stderr.toString()) console.error(stderr.toString() || error);
  if (error) process.exit(1);
  console.log(`${out.slice(here.length + 1)}: ${(await stat(out)).size} bytes`);
}
