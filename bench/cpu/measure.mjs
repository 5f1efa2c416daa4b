/** One case: engines side by side on one network, batch and number of threads, in turns. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.mjs';
import { ENGINES, fastestVariants } from './engines.mjs';
import { compareLogits } from './logits.mjs';

/**
 * Every case is measured in this many passes, each with fresh processes: where the system lays out memory and puts threads differs from
 * process to process by more than from run to run.
 */
const PASSES = 3;
/** A turn is about this long (ms), so that engines meet the same weather on a shared machine. */
const TURN_MS = 200;
/** An engine measures no longer than this (ms) in one pass, but runs at least once. */
const PASS_MS = 3000;
/** Above this time of one run, two runs in one pass are enough: the engine is hundreds of times slower. */
const VERY_SLOW_MS = 5000;
/** Threads of the engine before are asleep after this: onnxruntime's spin for a while when a run is over. */
const PAUSE_MS = 30;

/**
 * @param {object} options
 * @param {string} options.network
 * @param {number} options.batch
 * @param {number} options.threads
 * @param {number} options.runs timed runs that every engine shall have, time permitting
 * @param {import('./engines.mjs').Slot[]} options.slots
 * @param {{ float: string, quantized: Record<number, string> }} options.files
 * @param {Record<string, string | null>} options.unavailable reasons known beforehand, by engine
 * @param {Float32Array} options.reference logits of the float network for the first picture
 * @param {Record<string, import('./engines.mjs').EngineDescription>} [options.engines] by name; default those of the CPU
 * @param {boolean} [options.processor] entries have `processorMs` too, the time of one run on all processors, where a process can know it
 * @param {(slot: import('./engines.mjs').Slot) => { ask: Child['ask'], stop: Child['stop'] }} [options.start] where an engine runs; default a
 *   process of worker.mjs
 * @returns {Promise<object[]>} one entry per engine and weights, `medianMs` null and `note` the reason where it could not run
 */
export async function measureCase(options) {
  const results = options.slots.map((slot) => ({ slot, times: [], processor: [], entry: null }));
  let waiting = results;
  for (let pass = 0; pass < PASSES && waiting.length > 0; pass++) {
    const entrants = [];
    try {
      for (const result of waiting) entrants.push({ result, ...(await enter(result.slot, options)) });
      await takeTurns(entrants.filter(({ child }) => child));
    } finally {
      await Promise.all(entrants.map(({ child }) => child?.stop()));
    }
    for (const { result, entry, times, processor } of entrants) {
      result.entry = entry;
      result.times.push(...times);
      result.processor.push(...processor);
    }
    const again = entrants.filter(({ child, estimateMs }) => child && estimateMs <= VERY_SLOW_MS);
    waiting = again.map(({ result }) => result);
  }
  return fastestVariants(
    results.map(({ entry, times, processor }) => {
      const processorMs = options.processor && processor.length > 0 ? round(quantile(processor, 0.5)) : null;
      return { ...entry, ...statistics(times), ...(processorMs === null ? {} : { processorMs }) };
    }),
  );
}

/** An entry in a line for who waits. */
export function lineOf({ engine, blockSize, medianMs, p10Ms, p90Ms, runs, note }) {
  const name = blockSize ? `${engine} B=${blockSize}` : engine;
  if (medianMs === null) return `${name.padEnd(26)} not measured: ${note}`;
  const spread = `${p10Ms.toFixed(1)} to ${p90Ms.toFixed(1)}, ${runs} runs`;
  return `${name.padEnd(26)} ${medianMs.toFixed(2).padStart(9)} ms  (${spread})${note ? `  ${note}` : ''}`;
}

async function takeTurns(entrants) {
  for (let round = 0; entrants.some(({ times, wanted }) => times.length < wanted); round++) {
    // Another engine begins each round, so that none always follows the same neighbour.
    for (let n = 0; n < entrants.length; n++) await takeTurn(entrants[(n + round) % entrants.length]);
  }
}

async function enter(slot, options) {
  const { network, batch, threads, runs, files, unavailable, reference, engines = ENGINES } = options;
  const { engine, blockSize, variant } = slot;
  const { file: kind, oneThread, env } = engines[engine];
  const entry = { network, batch, threads, ...slot };
  const absent = (note) => ({ entry: { ...entry, note }, child: null, times: [], processor: [] });
  if (unavailable[engine]) return absent(unavailable[engine]);
  if (threads > 1 && oneThread) return absent(oneThread);
  const child = options.start ? options.start(slot) : new Child({ env });
  try {
    const file = kind === 'quantized' ? files.quantized[blockSize] : files[kind];
    const { module, prepare } = engines[engine];
    const task = { engine, module, prepare, variant, file, batch, threads };
    const { estimateMs, logits, note } = await child.ask('prepare', task);
    const agreement = compareLogits(logits, reference, slot);
    const possible = Math.max(1, Math.floor(PASS_MS / estimateMs));
    const wanted = estimateMs > VERY_SLOW_MS ? 2 : Math.min(Math.ceil(runs / PASSES), possible);
    const perTurn = Math.max(1, Math.min(Math.round(TURN_MS / estimateMs), Math.ceil(wanted / 3)));
    const described = { ...entry, agreement, ...(note ? { note } : {}) };
    return { entry: described, child, times: [], processor: [], wanted, perTurn, estimateMs };
  } catch (error) {
    await child.stop();
    return absent(error.message);
  }
}

async function takeTurn(entrant) {
  const { child, times, processor, wanted, perTurn, estimateMs } = entrant;
  const count = Math.min(perTurn, wanted - times.length);
  if (count <= 0) return;
  await sleep(PAUSE_MS);
  try {
    const found = await child.ask('run', { count, estimateMs });
    times.push(...found.times);
    if (found.processorMs !== null) processor.push(found.processorMs);
  } catch (error) {
    // An engine that breaks down, a lost device for instance, does not take the others with it.
    Object.assign(entrant, { wanted: 0, estimateMs: Infinity });
    entrant.entry.note = `after ${times.length} runs: ${error.message}`;
  }
}

function statistics(times) {
  if (times.length === 0) return { medianMs: null, p10Ms: null, p90Ms: null, runs: 0 };
  const at = (share) => round(quantile(times, share));
  return { medianMs: at(0.5), p10Ms: at(0.1), p90Ms: at(0.9), runs: times.length };
}

function quantile(times, share) {
  const sorted = times.toSorted((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}

const round = (ms) => Math.round(ms * 1000) / 1000;
