/**
 * How fast training is: steps of the CIFAR ResNet-20 on our backend and on TensorFlow.js's own, which take turns in one process, and memory over
 * epochs. Writes docs/benchmarks/training.json and .md in about three minutes; `--out FILE` writes the JSON there and nothing else. Ends with 1 when memory
 * grew.
 */
import { parseArgs } from 'node:util';
import '../packages/backend-cpu/dist/index.js';
import '@tensorflow/tfjs-backend-wasm';
import { machine } from './machine.mjs';
import { writeResults } from './results.mjs';
import { compareEngines, watchMemory } from './training/measure.mjs';
import { page } from './training/page.mjs';
import { SEED } from './training/tasks.mjs';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    batch: { type: 'string', default: '32' },
    steps: { type: 'string', default: '15' },
    'slow-batch': { type: 'string', default: '2' },
    'slow-steps': { type: 'string', default: '3' },
    epochs: { type: 'string', default: '5' },
  },
});
const integer = (name) => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value > 0) return value;
  console.error(`error: --${name} is '${values[name]}'; expected a positive integer`);
  process.exit(2);
};
const [batch, steps] = [integer('batch'), integer('steps')];
const [slowBatch, slowSteps, epochs] = [integer('slow-batch'), integer('slow-steps'), integer('epochs')];
/** Pictures of an epoch of CIFAR-10's published training set. */
const EPOCH = 50_000;

const OURS = { name: 'dsconv-cpu native, 2 threads', backend: 'dsconv-cpu', threads: 2 };
const ONE_THREAD = { name: 'dsconv-cpu native, 1 thread', backend: 'dsconv-cpu', threads: 1 };
const TFJS_CPU = { name: 'tfjs-cpu', backend: 'cpu' };
const TFJS_WASM = { name: 'tfjs-wasm', backend: 'wasm' };

const log = (line) => console.error(line);
const comparisons = [
  { task: 'network', batch, steps, engines: [OURS, ONE_THREAD, TFJS_WASM] },
  { task: 'network', batch: slowBatch, steps: slowSteps, engines: [OURS, TFJS_CPU] },
  { task: 'biases', batch, steps: slowSteps, engines: [OURS, ONE_THREAD, TFJS_WASM] },
  { task: 'dense', batch, steps, engines: [OURS, ONE_THREAD, TFJS_WASM] },
];
// First, as long as nobody else's tensors are here.
const watched = { engine: OURS, epochs, batch, steps };
const memory = { epochs, batch, steps, rows: await watchMemory(watched, log) };
const rows = [];
for (const comparison of comparisons) {
  for (const row of await compareEngines(comparison, log)) {
    const epochMinutes = (row.milliseconds * EPOCH) / row.batch / 60_000;
    rows.push(row.reason ? row : { ...row, epochMinutes });
  }
}
const isFlat = memory.rows.every(
  ({ numTensors, numBytes }) =>
    numTensors === memory.rows[0].numTensors && numBytes === memory.rows[0].numBytes,
);
const result = { machine: machine(), seed: SEED, bits: 4, epoch: EPOCH, rows, memory, isFlat };
console.log(JSON.stringify(rows, null, 1));
await writeResults(result, values.out ?? null, 'training', { md: page });
if (!isFlat) console.error('error: tensors are left behind by epochs');
process.exit(isFlat ? 0 : 1);
