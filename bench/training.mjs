/**
 * How fast a step of training is: the CIFAR ResNet-20 at 4 bits with Adam, on our backend and on TensorFlow.js's own, which take turns in one process. Writes
 * docs/benchmarks/training.json and .md; `--out FILE` writes the JSON there and nothing else.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import '../packages/backend-cpu/dist/index.js';
import { setThreads } from '../packages/backend-cpu/dist/index.js';
import { quantizeNetwork } from '../packages/converter/dist/index.js';
import { labelLoss, TrainableNetwork } from '../packages/layers/dist/index.js';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { createArchitecture, Network, randomParameters } from '../packages/models/dist/index.js';
import { machine } from './machine.mjs';
import { table } from './markdown.mjs';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    batch: { type: 'string', default: '32' },
    steps: { type: 'string', default: '5' },
  },
});
const [batch, steps] = [Number(values.batch), Number(values.steps)];
/** Pictures of an epoch of CIFAR-10's published training set. */
const EPOCH = 50_000;

const ENGINES = [
  { name: 'dsconv-cpu, 2 threads', backend: 'dsconv-cpu', threads: 2 },
  { name: 'dsconv-cpu, 1 thread', backend: 'dsconv-cpu', threads: 1 },
  { name: 'tfjs-wasm', backend: 'wasm' },
  { name: 'tfjs-cpu', backend: 'cpu', most: 2 },
];

async function network() {
  const architecture = createArchitecture({ name: 'resnet20', inputSize: 32 });
  const preprocessing = {
    size: 32,
    channels: 3,
    resize: { mode: 'exact', cropRatio: 1 },
    interpolation: 'bilinear',
    antialias: true,
    range: [0, 1],
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
  };
  const float = new Network({ architecture, weights: randomParameters(architecture, 1), preprocessing });
  return (await quantizeNetwork(float, { bits: 4, blockSize: 64, biasCorrection: false })).network;
}

/** Everything that a backend needs for steps of its own. */
async function prepare({ backend }) {
  await tf.setBackend(backend);
  const student = new TrainableNetwork(await network());
  const pixels = Float32Array.from({ length: batch * 3072 }, (_, n) => Math.sin(n * 0.37) * 2);
  const x = tf.tensor4d(pixels, [batch, 32, 32, 3]);
  const labels = tf.tensor1d(
    Int32Array.from({ length: batch }, (_, n) => n % 10),
    'int32',
  );
  return { student, x, labels, optimizer: tf.train.adam(1e-4) };
}

async function step({ student, x, labels, optimizer }) {
  const begun = performance.now();
  const { value, grads } = tf.variableGrads(
    () => labelLoss(student.logits(x, { training: true }), labels),
    student.trainable,
  );
  optimizer.applyGradients(grads);
  const [loss] = await value.data();
  tf.dispose([value, grads]);
  return { milliseconds: performance.now() - begun, loss };
}

const prepared = [];
for (const engine of ENGINES) {
  try {
    const state = await prepare(engine);
    if (engine.threads) setThreads(engine.threads);
    await step(state);
    prepared.push({ engine, state, times: [], losses: [] });
  } catch (error) {
    console.error(`${engine.name}: not measured: ${error.message}`);
    prepared.push({ engine, reason: error.message.split('\n')[0] });
  }
}
const before = tf.memory().numTensors;
for (let n = 0; n < steps; n++) {
  for (const { engine, state, times, losses } of prepared.filter(({ state }) => state)) {
    if (engine.most !== undefined && n >= engine.most) continue;
    await tf.setBackend(engine.backend);
    if (engine.threads) setThreads(engine.threads);
    const { milliseconds, loss } = await step(state);
    times.push(milliseconds);
    losses.push(loss);
    console.error(`${engine.name}: step ${n + 1}, ${milliseconds.toFixed(0)} ms, loss ${loss.toFixed(4)}`);
  }
}
const grown = tf.memory().numTensors - before;

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const own = median(prepared[0].times);
const rows = prepared.map(({ engine, times, losses, reason }) =>
  reason
    ? { engine: engine.name, reason }
    : {
        engine: engine.name,
        milliseconds: median(times),
        steps: times.length,
        loss: losses.at(-1),
        ratio: median(times) / own,
        epochMinutes: (median(times) * EPOCH) / batch / 60_000,
      },
);
const result = { machine: machine(), network: 'resnet20', bits: 4, batch, tensorsLeft: grown, rows };
console.log(JSON.stringify(rows, null, 1));
const folder = fileURLToPath(new URL('../docs/benchmarks/', import.meta.url));
await writeFile(values.out ?? join(folder, 'training.json'), `${JSON.stringify(result, null, 1)}\n`);
if (!values.out) {
  const number = (value, digits) => (value === undefined ? '' : value.toFixed(digits));
  const page = `# A step of training

Written by \`node bench/training.mjs\`. CIFAR ResNet-20 at 4 bits, batches of ${batch}, Adam; the same code on every backend, in turns in one process, medians. An epoch has ${EPOCH.toLocaleString('en')} pictures.
Machine: ${result.machine.cpu}, ${result.machine.cores} cores shared with others, ${result.machine.date}: trust ratios. Tensors left behind by ${steps} steps: ${grown}.

${table(
  ['engine', 'ms per step', 'times ours', 'minutes per epoch', ''],
  rows.map((r) => [
    r.engine,
    number(r.milliseconds, 0),
    number(r.ratio, 1),
    number(r.epochMinutes, 1),
    r.reason ? `not measured: ${r.reason}` : '',
  ]),
)}
`;
  await writeFile(join(folder, 'training.md'), page);
}
process.exit(0);
