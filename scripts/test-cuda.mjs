/**
 * `npm run test:cuda`: the conformance suite on the GPU of this machine, on every tier, and once more under compute-sanitizer where that is installed. The last line is
 * 'N passed, N failed, N skipped'. It needs no test runner, so that it also runs from the kit of scripts/cuda-kit.mjs on a machine that has nothing else.
 *
 *     npm run test:cuda -- --json FILE    writes the results
 *     npm run test:cuda -- --emulated     allows the emulation of the tests, which is no GPU
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeDevice } from '@dsconv/backend-cuda';
import { allCases, runCases } from '@dsconv/conformance';
import { getDSConvBackend } from '@dsconv/core';
import { env, setBackend } from '@tensorflow/tfjs-core';

const { values: flags } = parseArgs({
  options: {
    json: { type: 'string' },
    emulated: { type: 'boolean', default: false },
    tier: { type: 'string' },
    cases: { type: 'string', default: '' },
    'no-sanitizer': { type: 'boolean', default: false },
  },
});
const NAME = 'dsconv-cuda';
/** What each tool of compute-sanitizer finds, and how many cases it may take: it makes kernels up to a hundred times slower. */
const TOOLS = { memcheck: 5, racecheck: 5, synccheck: 5 };

env().set('IS_TEST', true);
const contract = getDSConvBackend(NAME);
const support = await contract.probe();
if (support !== true) fail(support.reason);
const tiers = await contract.tiers();
await setBackend(NAME);
const device = await describeDevice();
console.log(
  `${device.name}, compute capability ${device.computeCapability.join('.')}, driver ${device.driverVersion}`,
);
if (device.emulated && !flags.emulated)
  fail('this is the emulation of the tests, no GPU; --emulated allows it');

const pattern = new RegExp(flags.cases);
const cases = allCases.filter(({ name }) => pattern.test(name));
const results = {};
const sum = { passed: 0, failed: 0, skipped: 0 };
for (const { tier, available, reason } of tiers.filter(({ tier }) => !flags.tier || tier === flags.tier)) {
  if (!available) {
    console.error(`${NAME}/${tier}: not available: ${reason}`);
    sum.failed++;
    continue;
  }
  const backendName = contract.pinTier(tier);
  const found = await runCases(cases, { backendName, contract: getDSConvBackend(backendName) }, report);
  results[tier] = found;
}
if (!flags['no-sanitizer'] && !device.emulated) sanitize();
if (flags.json) {
  writeFileSync(flags.json, `${JSON.stringify({ device, sum, results }, null, 1)}\n`);
}
console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed === 0 ? 0 : 1;

function report({ name, status, message, reason }) {
  if (status === 'passed') sum.passed++;
  else if (status === 'declined') {
    sum.skipped++;
    console.log(`skipped: ${name}: ${reason}`);
  } else {
    sum.failed++;
    console.log(`FAILED: ${name}: ${message}`);
  }
}

/** One run of some cases under each tool. */
function sanitize() {
  const sanitizer = ['compute-sanitizer', '/usr/local/cuda/bin/compute-sanitizer'].find(
    (path) => !spawnSync(path, ['--version']).error,
  );
  if (!sanitizer) {
    console.log('skipped: compute-sanitizer is not installed');
    sum.skipped++;
    return;
  }
  const own = fileURLToPath(import.meta.url);
  for (const [tool, count] of Object.entries(TOOLS)) {
    const some = cases.filter((_, n) => n % Math.ceil(cases.length / count) === 0).map(({ name }) => name);
    const names = some.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
    const args = [process.execPath, own, '--no-sanitizer', '--cases', `^(${names})$`];
    const run = spawnSync(sanitizer, ['--tool', tool, '--error-exitcode', '9', ...args], {
      encoding: 'utf8',
    });
    const clean = run.status === 0;
    sum[clean ? 'passed' : 'failed']++;
    console.log(`compute-sanitizer ${tool}, ${some.length} cases: ${clean ? 'nothing found' : 'FAILED'}`);
    if (!clean) console.log(`${run.stdout}\n${run.stderr}`.slice(-4000));
  }
}

function fail(reason) {
  console.error(`error: ${reason}`);
  console.log('0 passed, 1 failed, 0 skipped');
  process.exit(1);
}
