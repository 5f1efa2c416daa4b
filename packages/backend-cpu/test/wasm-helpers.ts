/** A module with threads and its helpers, without a backend around them. */
import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { DSConvCpuBackend } from '@dsconv/backend-cpu';
import type { Helpers } from '../src/wasm/helpers.js';
import { instantiateShared } from '../src/wasm/instance.js';
import { BINARY } from '../src/wasm/interface.js';
import type { StartWorker } from '../src/wasm/workers.js';

export const helpersOf = (backend: unknown): Helpers => {
  const { helpers } = (backend as DSConvCpuBackend).engine!.heap!;
  if (!helpers) throw new Error('this module has no threads');
  return helpers;
};

/** Stands where a helper stands, but does not do what it should once it is inside a job. */
const BAD = `
  const { parentPort, workerData } = require('node:worker_threads');
  parentPort.once('message', ({ memory, words }) => {
    const shared = new Int32Array(memory.buffer, 0, 1024);
    const state = words.state >> 2;
    Atomics.add(shared, words.ready >> 2, 1);
    parentPort.postMessage({ kind: 'ready' });
    for (;;) {
      const open = Atomics.load(shared, state);
      if ((open & 65536) !== 0 && Atomics.compareExchange(shared, state, open, open + 1) === open) break;
    }
    if (workerData === 'hangs') for (;;);
    Atomics.store(shared, words.failed >> 2, 1);
    Atomics.sub(shared, state, 1);
    Atomics.notify(shared, state);
  });
`;

const startBad =
  (how: 'fails' | 'hangs'): StartWorker =>
  async ({ onMessage, onEnd }) => {
    const worker = new Worker(BAD, { eval: true, workerData: how });
    worker.on('message', onMessage);
    worker.on('exit', (code) => onEnd(`it ended with code ${code}`));
    return {
      post: (message) => worker.postMessage(message),
      terminate: () => void worker.terminate(),
      hold: (alive) => (alive ? worker.ref() : worker.unref()),
    };
  };

export interface Kernels {
  helpers: Helpers;
  /** Runs a kernel that is worth several threads. @returns whether all of its result is right */
  addOne(): boolean;
}

const LENGTH = 50_000;

/** @param start how helpers are made, or what they do wrong */
export async function kernelsWith(
  start?: StartWorker | 'fails' | 'hangs',
  lostAfter?: number,
): Promise<Kernels> {
  const bytes = await readFile(new URL('../wasm/build/dsconv-simd-threads.wasm', import.meta.url));
  const starter = typeof start === 'string' ? startBad(start) : start;
  const { exports, helpers } = await instantiateShared(await WebAssembly.compile(bytes), starter, lostAfter);
  const [x, one, y] = [exports.alloc(4 * LENGTH), exports.alloc(4), exports.alloc(4 * LENGTH)];
  const floats = (at: number, length: number) => new Float32Array(exports.memory.buffer, at, length);
  floats(one, 1).fill(1);
  let turn = 0;
  return {
    helpers: helpers!,
    addOne() {
      floats(x, LENGTH).fill(++turn);
      floats(y, LENGTH).fill(0);
      exports.binary(BINARY.add, x, one, y, LENGTH, 1);
      return floats(y, LENGTH).every((value) => value === turn + 1);
    },
  };
}
