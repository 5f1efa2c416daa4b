/** Steps of several engines in turns, and epochs whose memory is looked at. */
import * as tf from '@tensorflow/tfjs';
import { setThreads } from '../../packages/backend-cpu/dist/index.js';
import { finetune, TrainableNetwork } from '../../packages/layers/dist/index.js';
import { network, pictures, SEED, TASKS } from './tasks.mjs';

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

async function enter({ backend, threads }) {
  await tf.setBackend(backend);
  if (threads) await setThreads(threads);
}

/** The processor's milliseconds so far, of all threads. */
function processorTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** TensorFlow.js names what is missing in its first line. */
const reasonOf = (error) => error.message.split('\n')[0];

/**
 * One comparison: `engines` take turns, a step each, after one that is not counted.
 *
 * @returns a row per engine, with medians or the reason why there are none; the first engine is what the others are compared with
 */
export async function compareEngines({ task, batch, steps, engines }, log) {
  const states = [];
  for (const engine of engines) {
    const state = { engine, times: [], processor: [], loss: null, reason: null };
    states.push(state);
    try {
      await enter(engine);
      state.step = await TASKS[task].step(batch);
      await state.step();
    } catch (error) {
      state.reason = reasonOf(error);
      log(`${TASKS[task].name}, ${engine.name}: not measured: ${state.reason}`);
    }
  }
  for (let n = 0; n < steps; n++) {
    for (const state of states.filter(({ reason }) => reason === null)) {
      await enter(state.engine);
      const begun = { clock: performance.now(), processor: processorTime() };
      state.loss = await state.step();
      state.times.push(performance.now() - begun.clock);
      state.processor.push(processorTime() - begun.processor);
      log(
        `${TASKS[task].name}, ${batch} pictures, ${state.engine.name}: step ${n + 1}, ${state.times.at(-1).toFixed(0)} ms`,
      );
    }
  }
  const own = { clock: median(states[0].times), processor: median(states[0].processor) };
  return states.map(({ engine, times, processor, loss, reason }) => {
    const row = { task, batch, engine: engine.name };
    if (reason !== null) return { ...row, reason };
    return {
      ...row,
      steps,
      milliseconds: median(times),
      processorMilliseconds: median(processor),
      loss,
      ratio: median(times) / own.clock,
      processorRatio: median(processor) / own.processor,
    };
  });
}

/**
 * Short epochs of `finetune`, as a program runs them.
 *
 * @returns what is in memory at the end of each
 */
export async function watchMemory({ engine, epochs, batch, steps }, log) {
  await enter(engine);
  const student = new TrainableNetwork(await network());
  const rows = [];
  await finetune(student, {
    source: pictures(batch * steps),
    epochs,
    batchSize: batch,
    seed: SEED,
    onEpoch: ({ epoch, loss }) => {
      const { numTensors, numBytes, numBytesFree } = tf.memory();
      const { rss } = process.memoryUsage();
      rows.push({ epoch, loss, numTensors, numBytes, numBytesFree, rss });
      log(`epoch ${epoch}: ${numTensors} tensors, ${(rss / 2 ** 20).toFixed(0)} MiB resident`);
    },
  });
  student.dispose();
  return rows;
}
