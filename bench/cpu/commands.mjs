/**
 * What an engine is told to do, wherever it runs: in a process of its own (worker.mjs) or in a page.
 *
 * @typedef {object} Task
 * @property {string} engine
 * @property {string} module of the engine
 * @property {string} prepare name of its function there
 * @property {string | null} variant form of the network, see engines.mjs
 * @property {string} file path of the network
 * @property {number} batch
 * @property {number} threads
 *
 * @typedef {object} Prepared
 * @property {() => Promise<ArrayLike<number>>} run gives the logits of all pictures
 * @property {() => Promise<unknown>} dispose
 * @property {string} [note]
 */

/** Runs before anything is timed: packing, compiling, growing of arenas. Slower engines than this (ms) get one. */
const WARM_UPS = 4;
const SLOW_MS = 1000;
/** Below this time of one run (ms), each turn starts with an untimed run, which brings the weights back to the caches. */
const REFRESH_BELOW_MS = 1000;

/**
 * @param {(task: Task) => Promise<Prepared>} load
 * @returns {Record<string, (parameters: object) => Promise<object>>} by name
 */
export function commandsFor(load) {
  let prepared = null;
  return {
    /** @param {Task} task */
    async prepare(task) {
      prepared = await load(task);
      let first = await timed(prepared.run);
      const logits = [...first.result.slice(0, first.result.length / task.batch)];
      for (let n = 1; n < WARM_UPS && first.ms < SLOW_MS; n++) first = await timed(prepared.run);
      return { estimateMs: first.ms, logits, note: prepared.note ?? null };
    },

    async run({ count, estimateMs }) {
      if (estimateMs < REFRESH_BELOW_MS) await prepared.run();
      const times = [];
      const before = processorMs();
      for (let n = 0; n < count; n++) times.push((await timed(prepared.run)).ms);
      return { times, processorMs: before === null ? null : (processorMs() - before) / count };
    },

    async dispose() {
      await prepared?.dispose();
      prepared = null;
      return {};
    },
  };
}

/** Time on all processors so far (ms), or null in a page, which cannot know. */
function processorMs() {
  if (typeof process === 'undefined') return null;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function timed(run) {
  const start = performance.now();
  const result = await run();
  return { ms: performance.now() - start, result };
}
