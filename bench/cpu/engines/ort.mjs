/** onnxruntime-node, with an ONNX model of the very operations that the float32 zoo network performs. */
import { capture } from '@dsconv/core';
import { tensor4d } from '@tensorflow/tfjs-core';
import { CHANNELS, channelsFirst, randomPictures, SIZE } from '../input.mjs';
import { readNetworkFrom } from '../networks.mjs';
import { floatGraph } from '../onnx/float-graph.mjs';
import { int8Graph } from '../onnx/int8-graph.mjs';
import { operationsOf } from '../onnx/operations.mjs';
import { loadOnnxRuntime } from '../peers.mjs';
import { useTfjsWasm } from './tfjs.mjs';

/** @param {import('../commands.mjs').Task} task */
export async function ortFloat32(task) {
  const operations = await readOperations(task.file);
  return session(floatGraph(operations, task.batch), task);
}

/** Either form of the graph, as `task.variant` says. @param {import('../commands.mjs').Task} task */
export async function ortInt8(task) {
  const operations = await readOperations(task.file);
  const ranges = await calibrate(operations);
  return session(int8Graph(operations, task.batch, ranges, task.variant), task);
}

/** What the zoo network does, recorded once; TensorFlow.js' tensors are gone afterwards. */
export async function readOperations(file) {
  await useTfjsWasm();
  const network = await readNetworkFrom(file);
  const x = tensor4d(randomPictures(1), [1, SIZE, SIZE, CHANNELS]);
  const trace = capture((input) => network.logits(input), x);
  x.dispose();
  network.dispose();
  return operationsOf(trace);
}

/** Range of every value for one picture. */
export async function calibrate(network) {
  const watched = network.operations.map(({ output }) => output);
  const { model, names } = floatGraph(network, 1, watched);
  const { InferenceSession } = loadOnnxRuntime();
  const found = await InferenceSession.create(model, sessionOptions(1));
  const input = inputTensor(1);
  const results = await found.run({ input });
  await found.release();
  const ranges = new Map([[network.input, rangeOf(input.data)]]);
  const values = [network.output, ...watched.filter((value) => value !== network.output)];
  values.forEach((value, n) => {
    ranges.set(value, rangeOf(results[names[n]].data));
  });
  return ranges;
}

function rangeOf(values) {
  let [min, max] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}

async function session({ model, names }, { batch, threads }) {
  const { InferenceSession } = loadOnnxRuntime();
  const made = await InferenceSession.create(model, sessionOptions(threads));
  const feeds = { input: inputTensor(batch) };
  return {
    run: async () => (await made.run(feeds))[names[0]].data,
    dispose: () => made.release(),
  };
}

/**
 * Threads spin between operations, onnxruntime's default: measured on two threads, ResNet-50 is faster with than without. That is fair to
 * the others because only one process computes at a time, and spinning ends soon after a run.
 */
export const sessionOptions = (threads) => ({
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  // Errors only: warnings about constants that optimizing has made superfluous would fill the screen.
  logSeverityLevel: 3,
});

export function inputTensor(batch) {
  const { Tensor } = loadOnnxRuntime();
  const values = channelsFirst(randomPictures(batch), batch);
  return new Tensor('float32', values, [batch, CHANNELS, SIZE, SIZE]);
}
