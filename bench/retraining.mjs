/**
 * What retraining wins back: CIFAR-10 ResNet-20 with labels, MobileNet without. Writes docs/benchmarks/retraining.json, .md and curves.
 * `node bench/retraining.mjs [pattern]` runs the cases whose titles hold the pattern, and only prints.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { calibrateNetwork, quantizeNetwork, readFloatNetwork } from '../packages/converter/dist/index.js';
import '../packages/backend-cpu/dist/index.js';
import { adapt, finetune, TrainableNetwork } from '../packages/layers/dist/index.js';
import '@tensorflow/tfjs';
import { argMax, tensor4d, tidy } from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { selectBackend } from '../packages/core/dist/index.js';
import { preprocess } from '../packages/models/dist/index.js';
import { dataPath } from './data.mjs';
import { machine } from './machine.mjs';
import { table } from './markdown.mjs';

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

/** CIFAR-10's binary format: a label byte, then 32×32 red, green, blue planes. */
function cifar(name, preprocessing) {
  const path = dataPath(name);
  if (path === null) return null;
  const file = readFileSync(path);
  return Array.from({ length: file.length / 3073 }, (_, n) => {
    const record = file.subarray(n * 3073, (n + 1) * 3073);
    const data = new Uint8Array(3072);
    for (let p = 0; p < 1024; p++) for (let c = 0; c < 3; c++) data[p * 3 + c] = record[1 + c * 1024 + p];
    return { label: record[0], x: preprocess({ data, width: 32, height: 32, channels: 3 }, preprocessing) };
  });
}

async function photographs(remainders, preprocessing) {
  const folder = dataPath('imagenet-photos');
  if (folder === null) return null;
  const names = readdirSync(folder).filter((name) => remainders.includes(Number.parseInt(name, 10) % 4));
  return Promise.all(
    names.map(async (name) => {
      const { data, info } = await sharp(join(folder, name))
        .toColourspace('srgb')
        .removeAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true });
      const picture = { data, width: info.width, height: info.height, channels: 3 };
      return { label: Number.parseInt(name, 10), x: preprocess(picture, preprocessing) };
    }),
  );
}

const FINETUNE = { epochs: 3, batchSize: 64, learningRate: 1e-3, augmentation: { shift: 4, mirror: true } };

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
  { title: 'MobileNet v1 0.75, 2 bits', kind: 'mobilenet', bits: 2, blockSize: 32 },
];

async function runCifar({ bits, blockSize, scales }, report) {
  const float = await readFloatNetwork(dataPath('cifar-resnet20.safetensors'));
  const [training, test] = ['cifar10-train.bin', 'cifar10-test.bin'].map((name) =>
    sourceOf(cifar(name, float.preprocessing), float.preprocessing),
  );
  const wanted = classesOf(float, test);
  const { network } = await quantizeNetwork(float, { bits, blockSize });
  const before = scores(network, test, wanted);
  const student = new TrainableNetwork(network, { float, scales });
  const begun = performance.now();
  const { epochs } = await finetune(student, {
    ...FINETUNE,
    source: training,
    teacher: float,
    seed: SEED,
    onStep: report,
  });
  const seconds = (performance.now() - begun) / 1000;
  // The last epoch's weights: no epoch is chosen by the pictures that are scored.
  const after = scores(await student.freeze(), test, wanted);
  student.dispose();
  return {
    float: scores(float, test, wanted).top1,
    before,
    after,
    seconds,
    epochs,
    pictures: training.count,
    scored: test.count,
  };
}

async function runMobileNet({ bits, blockSize }, report) {
  const float = await readFloatNetwork(dataPath('mobilenet-v1-0.75-224'));
  const { preprocessing } = float;
  // Calibrated and adapted on every picture that is not scored.
  const training = sourceOf(await photographs([2], preprocessing), preprocessing);
  const test = sourceOf(await photographs([0], preprocessing), preprocessing);
  const wanted = classesOf(float, test);
  const pictures = {
    count: training.count,
    read: async (n) => {
      const x = new Float32Array(224 * 224 * 3);
      training.read(n, x);
      return x;
    },
  };
  const { network } = await calibrateNetwork(float, pictures, { bits, blockSize });
  const before = scores(network, test, wanted);
  const student = new TrainableNetwork(network, { scales: 'fitted' });
  const begun = performance.now();
  const { epochs } = await adapt(student, float, {
    source: training,
    epochs: Number(process.env.EPOCHS ?? 8),
    batchSize: 16,
    learningRate: Number(process.env.RATE ?? 1e-4),
    featureShare: Number(process.env.FEATURES ?? 0.5),
    augmentation: { shift: 16, mirror: true },
    seed: SEED,
    onStep: report,
  });
  const seconds = (performance.now() - begun) / 1000;
  const after = scores(await student.freeze(), test, wanted);
  student.dispose();
  return {
    float: scores(float, test, wanted).top1,
    before,
    after,
    seconds,
    epochs,
    pictures: training.count,
    scored: test.count,
  };
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
  mkdirSync(folder, { recursive: true });
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
the means corrected. MobileNet: \`adapt\`, no labels, on the photographs it was calibrated on. The weights are those after the last epoch; none is chosen by the pictures that are scored.

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
    r.scales ?? 'fitted',
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
