/** docs/benchmarks/training.md from the numbers. */
import { table } from '../markdown.mjs';
import { SEED, TASKS } from './tasks.mjs';

const number = (value, digits) => (value === undefined ? '' : value.toFixed(digits));
const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);

/** @param {Record<string, any>} result what training.json holds */
export function page({ machine, epoch, rows, memory, isFlat }) {
  const first = memory.rows[0];
  return `# Training

Written by \`node bench/training.mjs\`. The CIFAR ResNet-20 at 4 bits, B = 64, with random weights of seed ${SEED} and made-up pictures of 32×32, batch normalization folded, Adam; all engines run the same
TypeScript of \`@dsconv/layers\`, only the backend differs. Engines take turns, a step each, in one process; medians after one step that is not counted.
Machine: ${machine.cpu}, ${machine.cores} cores shared with others, ${machine.platform}, Node ${machine.node}, ${machine.date}: trust ratios, and the processor's time (of all threads) before the clock's.

**No epoch was run to its end.** Minutes per epoch are those of a step times ${epoch.toLocaleString('en')} pictures, CIFAR-10's published training set; reading and augmenting pictures is not in them. TensorFlow.js's
CPU backend takes about as long for every picture, so it is measured with few of them, and so is ours beside it; small batches cost us more per picture, so the ratio is the lower one.
Wanted: 20 times TensorFlow.js's CPU backend, 3 times its WebAssembly backend wherever that can train.

${table(
  [
    'what is trained',
    'pictures a step',
    'engine',
    'steps',
    'ms a step',
    "processor's ms",
    'times ours',
    "by processor's time",
    'minutes per epoch',
  ],
  rows.map((r) => [
    TASKS[r.task].name,
    r.batch,
    r.engine,
    r.steps ?? '',
    r.reason ? `not measured: ${r.reason}` : number(r.milliseconds, 1),
    number(r.processorMilliseconds, 1),
    r.ratio === undefined ? '' : `**${number(r.ratio, 1)}**`,
    number(r.processorRatio, 1),
    number(r.epochMinutes, 1),
  ]),
)}

TensorFlow.js's WebAssembly backend has no kernel for the gradient of a convolution by its filter (\`Conv2DBackpropFilter\`, and none of the depthwise ones), so it cannot train a network that has
convolutions. What it can train is compared instead: the same network with its filters held, and a network of dense layers.

## Memory

\`finetune\` on the native tier, ${memory.epochs} epochs of ${memory.steps} steps of ${memory.batch} pictures, looked at by \`tf.memory()\` at the end of each. ${
    isFlat
      ? `Flat: ${first.numTensors} tensors and ${mib(first.numBytes)} MiB after every epoch.`
      : '**Not flat.**'
  } Free is what the backend keeps for the next tensors.

${table(
  ['epoch', 'tensors', 'MiB in tensors', 'MiB free', 'MiB resident'],
  memory.rows.map((r) => [r.epoch, r.numTensors, mib(r.numBytes), mib(r.numBytesFree ?? 0), mib(r.rss)]),
)}
`;
}
