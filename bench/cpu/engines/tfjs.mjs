/** TensorFlow.js' own backends with the float32 network. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { env, ready, setBackend, tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';

/** @param {import('../worker.mjs').Task} task */
export async function tfjsWasm(task) {
  await useTfjsWasm(task.threads);
  return prepareEager(task);
}

/** @param {import('../worker.mjs').Task} task */
export async function tfjsCpu(task) {
  await import('@tensorflow/tfjs-backend-cpu');
  await setBackend('cpu');
  return prepareEager(task);
}

/** Makes tfjs-backend-wasm the current backend. @throws Error where it has no threads and more than one is asked for */
export async function useTfjsWasm(threads = 1) {
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  if (threads > 1 && !(await env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT'))) {
    throw new Error('tfjs-backend-wasm has no threads in Node (tensorflow/tfjs issue 3830)');
  }
  const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(join(dirname(main), '/'));
  // Before the backend is created: afterwards it has no effect.
  wasm.setThreadsCount(threads);
  if (!(await setBackend('wasm'))) throw new Error("TensorFlow.js could not create its backend 'wasm'");
  await ready();
}

async function prepareEager({ file, batch }) {
  const network = await readNetworkFrom(file);
  const x = tensor4d(randomPictures(batch), [batch, SIZE, SIZE, CHANNELS]);
  return {
    run: async () => {
      const logits = network.logits(x);
      const values = await logits.data();
      logits.dispose();
      return values;
    },
    async dispose() {
      x.dispose();
      network.dispose();
    },
  };
}
