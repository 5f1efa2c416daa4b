/**
 * One engine in a process of its own, told by messages what to do. Thread pools, heaps and the JavaScript engine's compilers of several engines
 * in one process would disturb each other; like this only one process computes at a time, while the others sleep.
 *
 * @typedef {object} Task
 * @property {string} engine
 * @property {string | null} variant form of the network, see engines.mjs
 * @property {string} file path of the network
 * @property {number} batch
 * @property {number} threads
 */
import { ENGINES } from './engines.mjs';

/** Runs before anything is timed: packing, compiling, growing of arenas. Slower engines than this (ms) get one. */
const WARM_UPS = 4;
const SLOW_MS = 1000;
/** Below this time of one run (ms), each turn starts with an untimed run, which brings the weights back to the caches. */
const REFRESH_BELOW_MS = 1000;

let prepared = null;

const COMMANDS = {
  /** @param {Task} task */
  async prepare(task) {
    const { module, prepare } = ENGINES[task.engine];
    const functions = await import(`./engines/${module}`);
    prepared = await functions[prepare](task);
    let first = await timed(prepared.run);
    const logits = [...first.result.slice(0, first.result.length / task.batch)];
    for (let n = 1; n < WARM_UPS && first.ms < SLOW_MS; n++) first = await timed(prepared.run);
    return { estimateMs: first.ms, logits, note: prepared.note ?? null };
  },

  async run({ count, estimateMs }) {
    if (estimateMs < REFRESH_BELOW_MS) await prepared.run();
    const times = [];
    for (let n = 0; n < count; n++) times.push((await timed(prepared.run)).ms);
    return { times };
  },

  async dispose() {
    await prepared?.dispose();
    prepared = null;
    return {};
  },
};

async function timed(run) {
  const start = performance.now();
  const result = await run();
  return { ms: performance.now() - start, result };
}

process.on('message', async ({ command, ...parameters }) => {
  try {
    process.send({ result: await COMMANDS[command](parameters) });
  } catch (error) {
    process.send({ error: error instanceof Error ? error.message.split('\n')[0] : String(error) });
  }
});
process.on('disconnect', () => process.exit());
