/** tfjs-backend-wasm in Node. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { env, ready, setBackend } from '@tensorflow/tfjs-core';

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
