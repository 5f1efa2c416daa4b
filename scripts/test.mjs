/**
 * `npm test`: everything that must hold, in the order in which it fails fastest. Each step before the test suites counts as one test; the last
 * line is the sum, 'N passed, N failed, N skipped'.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nativeChecks } from './check-native.mjs';
import { ensureChromium } from './ensure-chromium.mjs';
import { run } from './steps.mjs';

const total = { passed: 0, failed: 0, skipped: 0 };

/** @param {string} name @param {() => Promise<number>} body returns an exit code */
async function step(name, body) {
  console.log(`\n=== ${name}`);
  const started = Date.now();
  const code = await body();
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(`--- ${name}: ${code === 0 ? 'ok' : `FAILED with exit code ${code}`} (${seconds} s)`);
  if (code === 0) total.passed++;
  else total.failed++;
  return code === 0;
}

/** What cannot run here is skipped with its reason; in CI, where everything should be there, it fails. */
function unable(name, reason) {
  if (process.env.CI) {
    console.error(`\n${name}: ${reason}`);
    total.failed++;
  } else {
    console.log(`\nskipped: ${name}: ${reason}`);
    total.skipped++;
  }
}

/** Runs vitest projects and adds their counts. */
async function suites(name, args, env) {
  const folder = await mkdtemp(join(tmpdir(), 'dsconv-test-'));
  const report = join(folder, 'report.json');
  console.log(`\n=== ${name}`);
  const code = await run(
    'npx',
    ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args],
    env,
  );
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      await readFile(report, 'utf8'),
    );
    total.passed += numPassedTests;
    total.skipped += numPendingTests + numTodoTests;
    // A file that does not even load has no failed test, but must not pass for that.
    const broken = testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    );
    total.failed += numFailedTests + broken.length;
    if (code !== 0 && numFailedTests + broken.length === 0) total.failed++;
  } catch (error) {
    console.error(`${name}: no report was written (${error.message})`);
    total.failed++;
  }
  await rm(folder, { recursive: true, force: true });
}

const built = await step('build', () => run('npx', ['turbo', 'run', 'build', '--output-logs=errors-only']));
if (built) {
  await step('types of the tests', () => run('npx', ['tsc', '-p', 'tsconfig.test.json']));
  await step('lint', () => run('npx', ['biome', 'ci', '--colors=off', '.']));
  await step('packages', () => run('node', ['scripts/check-packages.mjs']));
  await step('size of what a page loads', () => run('node', ['scripts/check-size.mjs']));
  for (const check of ['check-conv', 'check-other']) {
    await step(`WebAssembly kernels on random shapes: ${check}`, () =>
      run('node', [`packages/backend-cpu/wasm/lab/${check}.mjs`]),
    );
  }
  for (const check of await nativeChecks()) {
    if (check.reason) unable(check.name, check.reason);
    else await step(check.name, check.run);
  }
  // Before the tests in Node too, whose WebGPU computes with a driver that Chromium brings along.
  const chromium = await ensureChromium();
  await suites('tests in Node', []);
  if (chromium.path) {
    for (const [name, config] of [
      ['tests in Chromium', 'vitest.browser.config.ts'],
      ['the page in Chromium', 'vitest.web.config.ts'],
    ]) {
      await suites(name, ['--config', config], { DSCONV_CHROMIUM: chromium.path });
    }
  } else {
    unable('tests in Chromium', chromium.reason);
    unable('the page in Chromium', chromium.reason);
  }
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
