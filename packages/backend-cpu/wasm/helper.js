/**
 * What a helper thread runs, in browsers a worker and in Node one of worker_threads: an instance of the module that it is sent, over the same
 * memory, which takes parts of the caller's jobs until it is told to leave. Tells `ready`, then `left` or `failed`.
 */
const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined;
const parent = inNode ? await nodeParent() : null;

if (parent) parent.once('message', (start) => help(start, (answer) => parent.postMessage(answer)));
else {
  addEventListener(
    'message',
    ({ data }) => {
      help(data, (answer) => postMessage(answer));
      close();
    },
    { once: true },
  );
}

async function nodeParent() {
  const { parentPort } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:worker_threads');
  return parentPort;
}

/** @param {{ module: WebAssembly.Module, memory: WebAssembly.Memory, area: number, slot: number, words: Record<string, number> }} start */
function help({ module, memory, area, slot, words }, tell) {
  const shared = new Int32Array(memory.buffer, 0, 1024);
  let serves = false;
  try {
    // Helpers wait for nobody inside a job.
    const env = { memory, area, slot, may_wait: 1, overdue: () => undefined };
    const { exports } = new WebAssembly.Instance(module, { env });
    Atomics.add(shared, words.ready >> 2, 1);
    serves = true;
    tell({ kind: 'ready' });
    exports.serve();
    Atomics.sub(shared, words.ready >> 2, 1);
    tell({ kind: 'left' });
  } catch (error) {
    if (serves) {
      // It failed in a part: the caller must not wait for it.
      Atomics.store(shared, words.failed >> 2, 1);
      Atomics.sub(shared, words.state >> 2, 1);
      Atomics.notify(shared, words.state >> 2);
    }
    tell({ kind: 'failed', message: String(error) });
  }
}
