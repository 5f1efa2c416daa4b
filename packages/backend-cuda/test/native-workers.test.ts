/** Devices in several threads of JavaScript at once, ended in the middle of their work. */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CudaDevice } from '../native/interface.js';
import { addonFolder } from '../src/native/load.js';
import { checkLibrary, missing, NOTHING_LEFT, openCheck, Report } from './support/native-device.js';

const driver = missing ? '' : await checkLibrary();
const report = new Report();
const outside = process.env.DSCONV_CUDA_DRIVER;
const build = createRequire(import.meta.url).resolve('node-gyp-build');

/** Runs on a device of its own, without end; says how many it has done and whether each gave what it should. */
const CODE = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { build, folder, seed, runs, close } = workerData;
  const device = require(build)(folder).open(0);
  const stream = device.createStream(), address = device.malloc(4096);
  device.beginCapture(stream);
  device.fill32(address, seed, 512, stream);
  const graph = device.endCapture(stream);
  const runner = device.createRunner({
    graph, stream,
    inputs: [{ address: address + 2048, bytes: 2048 }],
    outputs: [{ address, bytes: 4096 }],
  });
  (async () => {
    for (let n = 0; n < runs; n++) {
      const outputs = [1, 2, 3].map(() => new Int32Array(1024));
      await Promise.all(outputs.map((y, k) => device.run(runner, [new Int32Array(512).fill(n + k)], [y])));
      outputs.forEach((y, k) => {
        if (y[0] !== seed || y[511] !== seed || y[512] !== n + k || y[1023] !== n + k) throw new Error('wrong values');
      });
      if (n === 20) parentPort.postMessage('running');
    }
    if (close) device.close();
    parentPort.postMessage('done');
  })().catch((error) => parentPort.postMessage(error.message));
`;

const start = (seed: number, runs: number, close: boolean) =>
  new Worker(CODE, { eval: true, workerData: { build, folder: addonFolder, seed, runs, close } });

/** The message that a worker ends with. */
const last = (worker: Worker, expected: string) =>
  new Promise<string>((resolve, reject) => {
    worker.on('message', (text: string) => (text !== expected && text === 'running') || resolve(text));
    worker.on('error', reject);
  });

describe.skipIf(missing).each(['0', '1'])('with work done late: %s', (lazy) => {
  let device: CudaDevice;
  beforeAll(() => {
    Object.assign(process.env, {
      DSCONV_CUDA_DRIVER: driver,
      DSCONV_EMULATED_LAZY: lazy,
      DSCONV_EMULATED_REPORT: report.path,
    });
    // Holds the context, so that what workers leave behind would be seen.
    device = openCheck();
  });
  afterAll(() => {
    device.close();
    expect(report.last()).toEqual(NOTHING_LEFT);
    for (const name of ['LAZY', 'REPORT']) delete process.env[`DSCONV_EMULATED_${name}`];
    process.env.DSCONV_CUDA_DRIVER = outside;
    report.clear();
  });

  test('three at once, with and without closing', async () => {
    const { free } = device.memoryInfo();
    const workers = [1, 2, 3].map((seed) => start(seed, 60, seed !== 2));
    const exits = workers.map((worker) => new Promise((resolve) => worker.on('exit', resolve)));
    expect(await Promise.all(workers.map((worker) => last(worker, 'done')))).toEqual([
      'done',
      'done',
      'done',
    ]);
    expect(await Promise.all(exits)).toEqual([0, 0, 0]);
    expect(device.memoryInfo().free).toBe(free);
  });

  test('ended while runs are in flight', async () => {
    const { free } = device.memoryInfo();
    for (let n = 0; n < 10; n++) {
      const worker = start(n, 1e9, true);
      expect(await last(worker, 'running')).toBe('running');
      await worker.terminate();
    }
    expect(device.memoryInfo().free).toBe(free);
  });
});
