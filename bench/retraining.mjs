/**
 * What retraining wins back: CIFAR-10 ResNet-20 with labels, MobileNet without. Writes docs/benchmarks/retraining.json, .md and curves.
 * `node bench/retraining.mjs [pattern]` runs the cases whose titles hold the pattern, and only prints.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { calibrateNetwork, quantizeNetwork, readFloatNetwork } from '../packages/converter/dist/index.js';
import '../packages/backend-cpu/dist/index.js';
import { adapt, finetune, TrainableNetwork } from '../packages/layers/dist/index.js';
import '@tensorflow/tfjs';
import { argMax, tensor4d, tidy } from '@tensorflow/tfjs-core';
import { selectBackend } from '../packages/core/dist/index.js';
import { dataPath } from './data.mjs';
import { machine } from './machine.mjs';
import { table } from './markdown.mjs';
import { cifar, photographs } from './pictures.mjs';

const SEED = 1;

/** A source of pictures that are in memory. */
function sourceOf(pictures, { size, channels }) {
  return {
    count: pictures.length,
    shape: [size, size, channels],
    read: (n, to) => to.set(pictures[n].x),
    label: (n) => pictures[n].label,
  };
}

/** Classes that a network gives to all pictures. */
function classesOf(network, source) {
  const [height, width, channels] = source.shape;
  const length = height * width * channels;
  const found = [];
  for (let from = 0; from < source.count; from += 50) {
    const count = Math.min(50, source.count - from);
    const x = new Float32Array(count * length);
    for (let n = 0; n < count; n++) source.read(from + n, x.subarray(n * length, (n + 1) * length));
    found.push(
      ...tidy(() => argMax(network.logits(tensor4d(x, [count, height, width, channels])), 1).dataSync()),
    );
  }
  return found;
}

const share = (count, holds) =>
  Array.from({ length: count }, (_, n) => holds(n)).filter(Boolean).length / count;

function scores(network, source, wanted) {
  const classes = classesOf(network, source);
  return {
    top1: share(source.count, (n) => classes[n] === source.label(n)),
    agreement: share(source.count, (n) => classes[n] === wanted[n]),
  };
}

const FINETUNE = { epochs: 3, batchSize: 64, learningRate: 3e-4, augmentation: { shift: 4, mirror: true } };
const ADAPT = { epochs: 8, batchSize: 16, learningRate: 1e-4, augmentation: { shift: 16, mirror: true } };

const CASES = [
  { title: 'CIFAR ResNet-20, 4 bits', kind: 'cifar', bits: 4, blockSize: 64, scales: 'fitted' },
  { title: 'CIFAR ResNet-20, 3 bits', kind: 'cifar', bits: 3, blockSize: 64, scales: 'fitted' },
  { title: 'CIFAR ResNet-20, 2 bits', kind: 'cifar', bits: 2, blockSize: 32, scales: 'fitted' },
  {
    title: 'CIFAR ResNet-20, 2 bits, learned scales',
    kind: 'cifar',
    bits: 2,
    blockSize: 32,
    scales: 'learned',
  },
  { title: 'MobileNet v1 0.75, 2 bits', kind: 'mobilenet', bits: 2, blockSize: 32, scales: 'fitted' },
];

/** Scores before and after; the weights are those after the last epoch, so that no epoch is chosen by the pictures that are scored. */
async function measure({ float, network, student, training, test }, retrain) {
  const wanted = classesOf(float, test);
  const before = scores(network, test, wanted);
  const begun = performance.now();
  const { epochs } = await retrain({ source: training, seed: SEED });
  const seconds = (performance.now() - begun) / 1000;
  const after = scores(await student.freeze(), test, wanted);
  student.dispose();
  const { top1 } = scores(float, test, wanted);
  return { float: top1, before, after, seconds, epochs, pictures: training.count, scored: test.count };
}

async function runCifar({ bits, blockSize, scales }, onStep) {
  const float = await readFloatNetwork(dataPath('cifar-resnet20.safetensors'));
  const { preprocessing } = float;
  const [training, test] = ['cifar10-train.bin', 'cifar10-test.bin'].map((name) =>
    sourceOf(cifar(preprocessing, name), preprocessing),
  );
  const { network } = await quantizeNetwork(float, { bits, blockSize, rangeScaling: false });
  const student = new TrainableNetwork(network, { float, scales });
  return measure({ float, network, student, training, test }, (common) =>
    finetune(student, { ...FINETUNE, ...common, teacher: float, onStep }),
  );
}

async function runMobileNet({ bits, blockSize, scales }, onStep) {
  const float = await readFloatNetwork(dataPath('mobilenet-v1-0.75-224'));
  const { preprocessing } = float;
  const calibration = await photographs(preprocessing, 2);
  const training = sourceOf(calibration, preprocessing);
  const test = sourceOf(await photographs(preprocessing, 0), preprocessing);
  const pictures = { count: calibration.length, read: async (n) => calibration[n].x };
  const { network } = await calibrateNetwork(float, pictures, { bits, blockSize });
  const student = new TrainableNetwork(network, { scales });
  return measure({ float, network, student, training, test }, (common) =>
    adapt(student, float, { ...ADAPT, ...common, onStep }),
  );
}

const RUN = { cifar: runCifar, mobilenet: runMobileNet };
const NEEDS = {
  cifar: ['cifar-resnet20.safetensors', 'cifar10-train.bin', 'cifar10-test.bin'],
  mobilenet: ['mobilenet-v1-0.75-224', 'imagenet-photos'],
};

const pattern = process.argv[2];
const { name: backend, tier } = await selectBackend(['dsconv-cpu']);
const rows = [];
const skipped = [];
for (const entry of CASES.filter(({ title }) => !pattern || title.includes(pattern))) {
  const missing = NEEDS[entry.kind].find((name) => dataPath(name) === null);
  if (missing) {
    skipped.push(`${entry.title}: ${missing} is not there`);
    continue;
  }
  let shown = 0;
  const losses = [];
  const result = await RUN[entry.kind](entry, ({ step, steps, loss, secondsLeft }) => {
    losses.push(Number(loss.toFixed(4)));
    if (performance.now() - shown < 5000) return;
    shown = performance.now();
    console.error(
      `${entry.title}: step ${step} of ${steps}, loss ${loss.toFixed(4)}, ${secondsLeft.toFixed(0)} s left`,
    );
  });
  rows.push({ ...entry, ...result, losses });
  const { float, before, after, seconds } = result;
  console.log(
    `${entry.title}: float ${float}, rounded ${before.top1} / ${before.agreement}, retrained ${after.top1} / ${after.agreement}, ${seconds.toFixed(0)} s`,
  );
}
for (const line of skipped) console.log(`not measured: ${line}`);
if (!pattern) {
  const folder = fileURLToPath(new URL('../docs/benchmarks/', import.meta.url));
  await writeFile(
    join(folder, 'retraining.json'),
    `${JSON.stringify({ machine: machine(), backend, tier, seed: SEED, rows, skipped }, null, 1)}\n`,
  );
  await writeFile(join(folder, 'retraining.md'), page(rows, skipped, machine()));
}

function page(results, left, { cpu, date }) {
  const three = (value) => value.toFixed(3);
  return `# Retraining

Written by \`node bench/retraining.mjs\`; retraining.json has every loss. Top-1 and agreement with the float network on pictures that were not trained on. CIFAR-10: ${FINETUNE.epochs} epochs
over 10,000 labelled pictures with the float network as a teacher, batches of ${FINETUNE.batchSize}, Adam from ${FINETUNE.learningRate} down to 0, shifts of 4 pixels and mirroring; before, rounded with
the means corrected. The rate was chosen on 2,000 of the training pictures, held out. MobileNet: \`adapt\`, no labels, on the photographs it was calibrated on, ${ADAPT.epochs} epochs. The weights are those after the last epoch; none is chosen by the pictures that are scored.

${table(
  [
    'network',
    'B',
    'scales',
    'float top-1',
    'before: top-1',
    'agreement',
    'after: top-1',
    'agreement',
    'pictures',
    'seconds',
  ],
  results.map((r) => [
    r.title,
    r.blockSize,
    r.scales,
    three(r.float),
    three(r.before.top1),
    three(r.before.agreement),
    `**${three(r.after.top1)}**`,
    `**${three(r.after.agreement)}**`,
    r.pictures,
    r.seconds.toFixed(0),
  ]),
)}
${left.length > 0 ? `\nNot measured: ${left.join('; ')}.\n` : ''}
Machine: ${cpu}, ${date}, seed ${SEED}.
`;
}
