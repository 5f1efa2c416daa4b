/** Instances of the modules, each with a memory of its own, with threads where there can be some. */
import { Helpers } from './helpers.js';
import { type DSConvWasm, THREAD, type ThreadImports } from './interface.js';
import { mayWait, sharedMemory } from './thread-count.js';
import type { StartWorker } from './workers.js';

export interface WasmInstance {
  exports: DSConvWasm;
  /** Null for a module without threads. */
  helpers: Helpers | null;
}

export async function instantiate(module: WebAssembly.Module): Promise<WasmInstance> {
  const instance = await WebAssembly.instantiate(module, {});
  return { exports: instance.exports as unknown as DSConvWasm, helpers: null };
}

/**
 * @param module one with threads
 * @param start, lostAfter for tests, as {@link Helpers} has them
 * @throws RangeError where no shared memory can be had
 */
export async function instantiateShared(
  module: WebAssembly.Module,
  start?: StartWorker,
  lostAfter?: number,
): Promise<WasmInstance> {
  const memory = sharedMemory();
  const helpers = new Helpers(module, memory, start, lostAfter);
  const env: ThreadImports = {
    memory,
    area: THREAD.callerArea,
    slot: 0,
    may_wait: mayWait() ? 1 : 0,
    overdue: helpers.overdue,
  };
  const instance = await WebAssembly.instantiate(module, { env });
  const exports = instance.exports as unknown as DSConvWasm;
  helpers.attach(exports);
  return { exports, helpers };
}
