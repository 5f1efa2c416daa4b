/** Helper threads and what lives around them: processes that end, threads of JavaScript, rights that are not given. On the built package. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { expect, test, vi } from 'vitest';

const BUILT = new URL('../dist/index.js', import.meta.url);
const CORE = new URL('../../core/dist/index.js', import.meta.url);
if (!existsSync(BUILT)) throw new Error(`${fileURLToPath(BUILT)} is missing; 'npm run build' makes it`);

/** Computes on two threads, as a program would that knows nothing of them. */
const PROGRAM = `
  const cpu = await import('${BUILT}');
  const { dsconv2d, getDSConvBackend, quantizeFilter, selectBackend } = await import('${CORE}');
  const tf = await import('@tensorflow/tfjs-core');
  const tier = 'wasm-simd';
  await selectBackend([getDSConvBackend(cpu.BACKEND_NAME).pinTier(tier)]);
  const values = (length) => Float32Array.from({ length }, (_, n) => Math.sin(n * n));
  const filter = quantizeFilter(values(9 * 64 * 64), [3, 3, 64, 64], { bits: 4 });
  const compute = () => {
    const x = tf.tensor4d(values(24 * 24 * 64), [1, 24, 24, 64]);
    return Buffer.from(dsconv2d(x, filter, 1, 'same').dataSync().buffer).toString('base64');
  };
  const first = compute();
  await cpu.setThreads(2);
  const { helpers } = tf.backend().engine.heap;
  const later = new Set([first]);
  const isHelped = () => helpers.threads === 1 || helpers.partsTaken > 0;
  for (let n = 0; n < 20 || (n < 5000 && !isHelped()); n++) later.add(compute());
  const answer = { ...(await cpu.threadStatus(tier)), results: later.size, helped: helpers.partsTaken > 0 };
`;

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const run = promisify(execFile);
const inFolder = { cwd: fileURLToPath(new URL('..', import.meta.url)), timeout: 110_000 };

test('a process that computed on two threads ends by itself', async () => {
  const code = `${PROGRAM} console.log(JSON.stringify(answer));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], inFolder);
  expect(JSON.parse(stdout)).toEqual({ threads: 2, reason: null, results: 1, helped: true });
});

test('a process that starts helpers and waits for nothing ends by itself', async () => {
  const code = `
    const cpu = await import('${BUILT}');
    const { getDSConvBackend, selectBackend } = await import('${CORE}');
    await selectBackend([getDSConvBackend(cpu.BACKEND_NAME).pinTier('wasm-simd')]);
    console.log('done');`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], inFolder);
  expect(stdout).toBe('done\n');
});

test('ending helpers is waited for', async () => {
  const code = `${PROGRAM}
    await cpu.setThreads(1);
    const alone = await cpu.threadStatus(tier);
    await cpu.setThreads(2);
    tf.removeBackend(tf.getBackend());
    console.log(JSON.stringify({ alone }));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], inFolder);
  expect(JSON.parse(stdout)).toEqual({ alone: { threads: 1, reason: null } });
});

test('a worker thread has helpers of its own, and ends with them', async () => {
  const code = `(async () => {
    ${PROGRAM}
    require('node:worker_threads').parentPort.postMessage(answer);
  })();`;
  const threads = [1, 2].map(() => new Worker(code, { eval: true, execArgv: [] }));
  const answers = await Promise.all(
    threads.map(
      (thread) =>
        new Promise((resolve, reject) => {
          let answer: unknown;
          thread.once('message', (message) => (answer = message));
          thread.once('error', reject);
          thread.once('exit', (code) => resolve({ code, answer }));
        }),
    ),
  );
  const wanted = { code: 0, answer: { threads: 2, reason: null, results: 1, helped: true } };
  expect(answers).toEqual([wanted, wanted]);
});

test('without the right to start workers it computes on one thread and says so', async () => {
  const flags = ['--experimental-permission', '--allow-fs-read=*', '--no-warnings', '--input-type=module'];
  const code = `${PROGRAM} console.log(JSON.stringify(answer));`;
  const { stdout } = await run(process.execPath, [...flags, '-e', code], inFolder);
  const answer = JSON.parse(stdout);
  expect(answer).toMatchObject({ threads: 1, results: 1, helped: false });
  expect(answer.reason).toMatch(/^a helper thread failed: Access to this API has been restricted/);
});
