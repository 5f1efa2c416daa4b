/** The checks of the C++ kernels that need a compiler: every instruction set, the sanitizers, arm64 under an emulator. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { checkMissing as cudaCheckMissing } from '../packages/backend-cuda/emulation/check-sanitized.mjs';
import { run } from './steps.mjs';

const TESTS = 'packages/backend-cpu/native/test';
const CROSS = ['aarch64-linux-gnu-g++', 'qemu-aarch64'];
const CROSS_PACKAGES = ['g++-aarch64-linux-gnu', 'qemu-user'];

/**
 * What can be checked here, in order, and why the rest cannot.
 *
 * @returns {Promise<{ name: string, run?: () => Promise<number>, reason?: string }[]>} `run` gives an exit code
 */
export async function nativeChecks() {
  const compiler = process.env.CXX || 'g++';
  const missing = ['make', compiler].filter((command) => !has(command));
  const reason = missing.length > 0 ? `${missing.join(' and ')} cannot be found` : undefined;
  const make = (target, options) => () =>
    run('make', [
      '-s',
      '-C',
      TESTS,
      `-j${availableParallelism()}`,
      `CXX=${compiler}`,
      `ARGS=${options}`,
      target,
    ]);
  const sanitizers = reason ?? sanitizersMissing(compiler);
  return [
    { name: 'C++ kernels, every instruction set of this machine', run: make('check', '--effort 3'), reason },
    {
      name: 'C++ kernels with AddressSanitizer and UndefinedBehaviorSanitizer',
      run: make('memory', '--effort 1'),
      reason: sanitizers,
    },
    {
      name: 'C++ kernels and plans with ThreadSanitizer',
      run: make('tsan', '--effort 1 --isa best,portable'),
      reason: sanitizers,
    },
    {
      name: 'the addon in Node with AddressSanitizer and UndefinedBehaviorSanitizer',
      run: async () => (await make('memory-addon', '')()) || (await fuzzSanitized(compiler)),
      reason: sanitizers,
    },
    {
      name: 'the CUDA addon on its emulation with AddressSanitizer and UndefinedBehaviorSanitizer',
      run: () => run('node', ['packages/backend-cuda/emulation/check-sanitized.mjs']),
      reason: cudaCheckMissing() ?? undefined,
    },
    {
      name: 'C++ kernels for arm64, with and without the dot product, emulated',
      run: make('neon', '--effort 1'),
      reason: reason ?? (await crossToolsMissing()),
    },
  ];
}

/** The tests that try to break the addon, on one that notices. */
function fuzzSanitized(compiler) {
  const options = 'detect_leaks=0:allocator_may_return_null=1:abort_on_error=1';
  const tests = join(TESTS, '..', '..', 'test');
  const args = ['run', '--project', 'backend-cpu', join(tests, 'native-fuzz'), join(tests, 'native-workers')];
  return run(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
    DSCONV_ADDON: join(TESTS, '../build-test/memory/dsconv_cpu.node'),
    DSCONV_FUZZ_RUNS: '2000',
    NODE_OPTIONS: `--require=${join(process.cwd(), TESTS, 'use_addon.cjs')}`,
    LD_PRELOAD: library(compiler, 'libasan.so'),
    ASAN_OPTIONS: options,
  });
}

function sanitizersMissing(compiler) {
  if (process.platform !== 'linux') return 'the sanitizers are set up for Linux';
  const missing = ['libasan.so', 'libubsan.so', 'libtsan.so'].filter((name) => !library(compiler, name));
  return missing.length > 0 ? `${compiler} has no ${missing.join(', ')}` : undefined;
}

/** Path of a library of the compiler, or null. */
function library(compiler, name) {
  const path = execFileSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  return path.includes('/') ? path : null;
}

async function crossToolsMissing() {
  if (CROSS.every(has)) return undefined;
  if (process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log(`\n=== installing Debian's ${CROSS_PACKAGES.join(' and ')}`);
    await run('apt-get', ['update', '-qq']);
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...CROSS_PACKAGES], {
      DEBIAN_FRONTEND: 'noninteractive',
    });
  }
  const missing = CROSS.filter((command) => !has(command));
  return missing.length > 0 ? `${missing.join(' and ')} cannot be found` : undefined;
}

function has(command) {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
