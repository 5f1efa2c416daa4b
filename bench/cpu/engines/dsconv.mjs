/** Our own backend: the native tier and the WebAssembly tier, by plan and eagerly. */
import * as cpu from '@dsconv/backend-cpu';
import { compile, getDSConvBackend } from '@dsconv/core';
import { ready, setBackend, tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, randomPictures, SIZE } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';

/** @param {import('../commands.mjs').Task} task */
export async function nativePlan(task) {
  await useTier('native');
  await cpu.setThreads(task.threads);
  return preparePlan(task);
}

/** @param {import('../commands.mjs').Task} task */
export async function wasmPlan(task) {
  await useTier('wasm-relaxed-simd');
  await cpu.setThreads(task.threads);
  return preparePlan(task);
}

/** @param {import('../commands.mjs').Task} task */
export async function nativeEager(task) {
  await useTier('native');
  await cpu.setThreads(task.threads);
  return prepareEager(task);
}

/** @param {import('../commands.mjs').Task} task */
export async function wasmEager(task) {
  await useTier('wasm-relaxed-simd');
  await cpu.setThreads(task.threads);
  return prepareEager(task);
}

async function prepareEager(task) {
  const network = await readNetworkFrom(task.file);
  const x = pictures(task.batch);
  return {
    run: async () => {
      const logits = network.logits(x);
      const values = logits.dataSync();
      logits.dispose();
      return values;
    },
    async dispose() {
      x.dispose();
      network.dispose();
    },
  };
}

async function preparePlan({ file, batch }) {
  const network = await readNetworkFrom(file);
  const x = pictures(batch);
  const plan = await compile((input) => network.logits(input), x);
  if (plan.mode !== 'compiled') throw new Error(`the network does not compile: ${plan.reason}`);
  const inputs = [Float32Array.from(x.dataSync())];
  const outputs = plan.outputShapes.map((shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)));
  const { compiled } = plan;
  return {
    note: `arena ${mebibytes(compiled.arenaBytes)}, alive at once ${mebibytes(compiled.liveBytes)}`,
    run: async () => {
      await compiled.run(inputs, outputs);
      return outputs[0];
    },
    async dispose() {
      plan.dispose();
      x.dispose();
      network.dispose();
    },
  };
}

async function useTier(tier) {
  const name = getDSConvBackend(cpu.BACKEND_NAME).pinTier(tier);
  // TensorFlow.js prints why a backend cannot be created and returns false; probing says it in a sentence.
  const found = await getDSConvBackend(name).probe();
  if (found !== true) throw new Error(found.reason);
  await setBackend(name);
  await ready();
}

const pictures = (batch) => tensor4d(randomPictures(batch), [batch, SIZE, SIZE, CHANNELS]);
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
