/**
 * Runs the tests of the addon and of the emulation with AddressSanitizer and UndefinedBehaviorSanitizer in both: the addon's own memory, and what kernels do
 * within theirs. Answers the exit code.
 *
 *   node emulation/check-sanitized.mjs [test files]
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildEmulation, emulationMissing } from './build.mjs';
import { buildSanitizedAddon, sanitizedMissing, sanitizerLibrary } from './sanitized-addon.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '..', '..', '..');

/** Faults are met on purpose in the others: a sanitizer ends the process there. */
const TESTS = ['native-faults', 'native-workers'].map((name) => join(here, '..', 'test', `${name}.test.ts`));

/** Why it cannot be checked here, or null. */
export const checkMissing = () => emulationMissing() ?? sanitizedMissing();

/** @param {string[]} [tests] files; every library they open is the sanitized one */
export async function checkSanitized(tests = TESTS) {
  const addon = await buildSanitizedAddon();
  const ownKernels = tests.every((path) => TESTS.includes(path));
  const options = { sanitize: true, ...(ownKernels ? { folder: join(here, 'mutations') } : {}) };
  const { library } = await buildEmulation(options);
  const { status } = spawnSync(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'backend-cuda', ...tests],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        DSCONV_ADDON: addon,
        DSCONV_CUDA_DRIVER: library,
        DSCONV_SANITIZED: '1',
        NODE_OPTIONS: `--require=${join(here, 'use-addon.cjs')}`,
        LD_PRELOAD: sanitizerLibrary(),
        // Node itself leaks on purpose, and asks for more address space than there is.
        ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1:abort_on_error=1:use_sigaltstack=0',
        UBSAN_OPTIONS: 'print_stacktrace=1',
      },
    },
  );
  return status ?? 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const missing = checkMissing();
  if (missing) console.log(`@dsconv/backend-cuda: not checked with sanitizers (${missing})`);
  else process.exitCode = await checkSanitized(process.argv.length > 2 ? process.argv.slice(2) : undefined);
}
