/** The addon used by several threads of JavaScript at once, disposed of and shut down in the middle of it. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from 'vitest';
import type { DSConvNative } from '../native/interface.js';
import { loadNative } from '../src/native/load.js';
import { floats, planDescription, validCalls } from './native-calls.js';

const found = await loadNative().catch((error: Error) => error);

/** Calls, plans, numbers of threads and disposal in turns that depend on the seed; answers what it computed first and whether that stayed. */
const CODE = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { calls, description, packing, turns, seed, shared } = workerData;
  const native = require(workerData.build)(workerData.folder);
  let state = seed;
  const next = (n) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % n;
  const make = () => native.createPlan({
    ...description,
    profile: true,
    steps: description.steps.map((step) => (step.op === 'dsconv2d' ? { ...step, filter: native.packDSConv2d(packing) } : step)),
  });
  (async () => {
    let plan = make();
    let expected = null;
    let settled = 0;
    for (let turn = 0; turn < turns; turn++) {
      if (next(4) === 0) native.setThreads(1 + next(4));
      const { name, args } = calls[next(calls.length)];
      native[name](...args);
      try { native.setIsa(native.isa); throw new Error('setIsa under a living plan'); } catch (error) { if (error.code !== 'RUN_FAILED') throw error; }
      const runs = [1, 2, 3].map(() => {
        const y = [new Float32Array(7), new Float32Array(80)];
        return plan.run([shared], y).then(() => y);
      });
      const disposed = next(3) === 0;
      if (disposed) plan.dispose();
      for (const run of await Promise.allSettled(runs)) {
        settled++;
        if (run.status === 'rejected') {
          if (!disposed || run.reason.code !== 'DISPOSED') throw run.reason;
          continue;
        }
        const text = run.value.map((y) => [...y].join()).join();
        expected ??= text;
        if (text !== expected) throw new Error('a run beside others gave another result');
      }
      plan.profile;
      if (disposed) plan = make();
    }
    plan.dispose();
    parentPort.postMessage({ expected, settled });
  })().catch((error) => parentPort.postMessage({ error: error.message }));
`;

describe.skipIf(found instanceof Error)('the addon in several threads of JavaScript', () => {
  const native = found as DSConvNative;
  const before = native.getThreads();
  afterAll(() => native.setThreads(before));

  const shared = new Float32Array(new SharedArrayBuffer(4 * 480));
  shared.set(floats(480));
  const description = planDescription(native);
  const data = (seed: number, turns: number) => ({
    build: createRequire(import.meta.url).resolve('node-gyp-build'),
    folder: fileURLToPath(new URL('../native', import.meta.url)),
    calls: validCalls(native).filter(({ args }) => args.every((arg) => !isHandle(arg)) && !isPlan(args)),
    description: {
      ...description,
      steps: description.steps.map((step) => (step.op === 'dsconv2d' ? { ...step, filter: null } : step)),
    },
    packing: validCalls(native)[0]!.args[0],
    shared,
    seed,
    turns,
  });

  test('computes the same in each of them', async () => {
    const answers = await Promise.all(
      [1, 2, 3, 4].map(
        (seed) =>
          new Promise<{ expected: string; settled: number; error?: string }>((resolve, reject) => {
            const worker = new Worker(CODE, { eval: true, workerData: data(seed, 60) });
            worker.once('message', resolve);
            worker.once('error', reject);
          }),
      ),
    );
    for (const { error, settled } of answers) {
      expect(error).toBeUndefined();
      expect(settled).toBe(180);
    }
    expect(new Set(answers.map(({ expected }) => expected)).size).toBe(1);
  });

  test('outlives threads that are terminated while their plans run', async () => {
    for (let round = 0; round < 12; round++) {
      const workers = [1, 2, 3].map(
        (seed) => new Worker(CODE, { eval: true, workerData: data(seed + round, 1e6) }),
      );
      await new Promise((resolve) => setTimeout(resolve, 40 + 15 * round));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    // Here nothing was lost by it.
    const plan = native.createPlan(description);
    const y = [new Float32Array(7), new Float32Array(80)];
    await plan.run([shared], y);
    plan.dispose();
    expect(y[0]!.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  });
});

function isHandle(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'dispose' in value;
}

function isPlan(args: unknown[]): boolean {
  return typeof args[0] === 'object' && args[0] !== null && 'steps' in args[0];
}
