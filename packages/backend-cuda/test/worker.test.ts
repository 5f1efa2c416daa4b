/** The backend in several threads of JavaScript at once, each with a device, a memory and streams of its own. */
import { Worker } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { onCuda } from './support/cuda.js';

onCuda();

/** Loads the sources as tests do, works, and says what came out. */
const CODE = `
  const { parentPort, workerData } = require('node:worker_threads');
  (async () => {
    const { createServer } = await import('vite');
    const server = await createServer({
      configFile: false,
      root: workerData.root,
      logLevel: 'error',
      server: { middlewareMode: true, hmr: false, ws: false, watch: null },
      optimizeDeps: { noDiscovery: true },
      ssr: { resolve: { conditions: ['@dsconv/source', 'module', 'node', 'import', 'default'] } },
    });
    const { work } = await server.ssrLoadModule('/test/support/worker-work.ts');
    const answer = await work(workerData.seed);
    await server.close();
    parentPort.postMessage(answer);
  })().catch((error) => parentPort.postMessage({ error: error.stack }));
`;

interface Answer {
  error?: string;
  sums: number[];
  leftBytes: number;
}

function inWorker(seed: number): Promise<Answer> {
  const root = new URL('..', import.meta.url).pathname;
  const worker = new Worker(CODE, { eval: true, workerData: { root, seed } });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the worker ended with code ${code}`)));
  });
}

test('workers compute what this thread computes, and it goes on beside them', {
  timeout: 240_000,
}, async () => {
  const { work } = await import('./support/worker-work.js');
  const answers = [inWorker(1), inWorker(2)];
  const before = tf.memory().numTensors;
  const wanted = [await work(1), await work(2)];
  for (const [n, answer] of (await Promise.all(answers)).entries()) {
    expect(answer.error).toBeUndefined();
    expect(answer.sums).toEqual(wanted[n]!.sums);
    expect(answer.leftBytes).toBe(0);
  }
  expect(tf.memory().numTensors).toBe(before);
});
