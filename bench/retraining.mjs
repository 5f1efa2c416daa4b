/**
 * What retraining wins back: CIFAR-10 and Fashion-MNIST ResNet-20 with labels, MobileNet without. Writes docs/benchmarks/retraining.json, .md and curves.
 * `node bench/retraining.mjs [pattern]` runs the cases whose titles match the regular expression, and leaves the other results as they are. With `--keep DIR` the retrained
 * networks are written there.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  calibrateNetwork,
  quantizeNetwork,
  readFloatNetwork,
  writeNetworkFile,
} from '../packages/converter/dist/index.js';
import '../packages/backend-cpu/dist/index.js';
import { adapt, finetune, TrainableNetwork } from '../packages/layers/dist/index.js';
import '@tensorflow/tfjs';
import { parseArgs } from 'node:util';
import { argMax, tensor4d, tidy } from '@tensorflow/tfjs-core';
import { lossCurve } from '../apps/cli/dist/training/loss-curve.js';
import { selectBackend } from '../packages/core/dist/index.js';
import { isInstalled } from '../packages/models/training/fashion-mnist.mjs';
import {
  fashionSource,
  finish,
  retrain,
  SETTINGS,
  trainFromScratch,
} from '../packages/models/training/retrain.mjs';
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

const FINETUNE = {
  epochs: 3,
  batchSize: 64,
  learningRate: 3e-3,
  augmentation: { shift: 4, mirror: true },
};
const ADAPT = {
  epochs: 4,
  batchSize: 8,
  learningRate: 3e-4,
  augmentation: { zoom: 0.8, size: 192, mirror: true, mix: 0.5 },
};
const ADAM_FROM_SCRATCH = { optimizer: 'adam', epochs: 12, batchSize: 64, warmUp: 0.05 };
const FLOAT_FASHION = fileURLToPath(
  new URL('../packages/models/training/fashion-mnist-resnet20.float32.safetensors', import.meta.url),
);

const cifarCase = (bits, blockSize, scales = 'fitted') => ({
  title: `CIFAR-10 ResNet-20, ${bits} bits${scales === 'fitted' ? '' : `, ${scales} scales`}`,
  kind: 'cifar',
  bits,
  blockSize,
  scales,
});

const scratchCase = (how, settings) => ({
  title: `Fashion-MNIST ResNet-20, 4 bits, ${how}`,
  kind: 'scratch',
  bits: 4,
  blockSize: 64,
  scales: 'fitted',
  settings,
});

const CASES = [
  cifarCase(4, 64),
  cifarCase(3, 64),
  cifarCase(2, 32),
  cifarCase(2, 32, 'learned'),
  ...[4, 3, 2].map((bits) => ({
    title: `Fashion-MNIST ResNet-20, ${bits} bits`,
    kind: 'fashion',
    bits,
    blockSize: SETTINGS[bits].blockSize,
    scales: 'fitted',
  })),
  scratchCase('from scratch', {}),
  scratchCase('from scratch with Adam', { ...ADAM_FROM_SCRATCH, learningRate: 6e-3, weightDecay: 0.05 }),
  scratchCase('from scratch with Adam and less decay', {
    ...ADAM_FROM_SCRATCH,
    learningRate: 4e-3,
    weightDecay: 0.01,
  }),
  { title: 'MobileNet v1 0.75, 2 bits', kind: 'mobilenet', bits: 2, blockSize: 32, scales: 'fitted' },
  { title: 'MobileNet v1 0.75, 4 bits', kind: 'mobilenet', bits: 4, blockSize: 32, scales: 'fitted' },
];

/** Scores before and after; the weights are those after the last epoch, so that no epoch is chosen by the pictures that are scored. */
async function measure({ float, training, test }, run) {
  const wanted = classesOf(float, test);
  const begun = performance.now();
  const { before, after, result } = await run();
  const seconds = (performance.now() - begun) / 1000;
  return {
    row: {
      float: scores(float, test, wanted).top1,
      before: scores(before, test, wanted),
      after: scores(after, test, wanted),
      seconds,
      epochs: result.epochs,
      pictures: training.count,
      scored: test.count,
    },
    before,
    network: after,
  };
}

async function runCifar({ bits, blockSize, scales }, onStep) {
  const float = await readFloatNetwork(dataPath('cifar-resnet20.safetensors'));
  const { preprocessing } = float;
  const [training, test] = ['cifar10-train.bin', 'cifar10-test.bin'].map((name) =>
    sourceOf(cifar(preprocessing, name), preprocessing),
  );
  return measure({ float, training, test }, async () => {
    const { network } = await quantizeNetwork(float, { bits, blockSize, rangeScaling: false });
    const student = new TrainableNetwork(network, { float, scales });
    const options = { ...FINETUNE, source: training, seed: SEED, teacher: float, onStep };
    return finish(network, student, await finetune(student, options));
  });
}

async function runFashion({ bits, kind, settings }, onStep) {
  const float = await readFloatNetwork(FLOAT_FASHION);
  const [training, test] = ['train', 'test'].map((part) => fashionSource(part, float.preprocessing));
  return measure({ float, training, test }, () =>
    kind === 'scratch'
      ? trainFromScratch(float, training, settings, { onStep })
      : retrain(float, training, bits, { onStep }),
  );
}

async function runMobileNet({ bits, blockSize, scales }, onStep) {
  const float = await readFloatNetwork(dataPath('mobilenet-v1-0.75-224'));
  const { preprocessing } = float;
  const calibration = await photographs(preprocessing, 2);
  const training = sourceOf(calibration, preprocessing);
  const test = sourceOf(await photographs(preprocessing, 0), preprocessing);
  const found = await measure({ float, training, test }, async () => {
    const pictures = { count: calibration.length, read: async (n) => calibration[n].x };
    const { network } = await calibrateNetwork(float, pictures, { bits, blockSize });
    const student = new TrainableNetwork(network, { scales });
    return finish(
      network,
      student,
      await adapt(student, float, { ...ADAPT, source: training, seed: SEED, onStep }),
    );
  });
  // How much of what calibration fitted was these very photographs.
  found.row.seen = scores(found.before, training, classesOf(float, training));
  return found;
}

const RUN = { cifar: runCifar, fashion: runFashion, scratch: runFashion, mobilenet: runMobileNet };

/** What a case lacks here, or null. */
function missing(kind) {
  const needed = {
    cifar: ['cifar-resnet20.safetensors', 'cifar10-train.bin', 'cifar10-test.bin'],
    mobilenet: ['mobilenet-v1-0.75-224', 'imagenet-photos'],
  }[kind];
  if (needed) {
    const name = needed.find((path) => dataPath(path) === null);
    return name ? `${name} is not there` : null;
  }
  return isInstalled() ? null : "Debian's dataset-fashion-mnist is not installed";
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { keep: { type: 'string' } },
});
const pattern = new RegExp(positionals[0] ?? '');
const folder = fileURLToPath(new URL('../docs/benchmarks/', import.meta.url));
const earlier = await readFile(join(folder, 'retraining.json'), 'utf8').then(JSON.parse, () => ({
  rows: [],
}));
const { name: backend, tier } = await selectBackend(['dsconv-cpu']);
const rows = new Map(earlier.rows.map((row) => [row.title, row]));
for (const entry of CASES.filter(({ title }) => pattern.test(title))) {
  const lacks = missing(entry.kind);
  if (lacks) {
    console.log(`not measured: ${entry.title}: ${lacks}`);
    continue;
  }
  let shown = 0;
  const losses = [];
  const { row, network } = await RUN[entry.kind](
    entry,
    ({ step, steps, loss, picturesPerSecond, secondsLeft }) => {
      losses.push(Number(loss.toFixed(4)));
      if (performance.now() - shown < 10_000) return;
      shown = performance.now();
      console.error(
        `${entry.title}: step ${step} of ${steps}, loss ${loss.toFixed(4)}, ${picturesPerSecond.toFixed(0)} pictures a second, ${secondsLeft.toFixed(0)} s left`,
      );
    },
  );
  const { float, before, after, seconds } = row;
  console.log(
    `${entry.title}: float ${float}, before ${before.top1} / ${before.agreement}, after ${after.top1} / ${after.agreement}, ${seconds.toFixed(0)} s`,
  );
  const { cpu, date } = machine();
  rows.set(entry.title, { ...entry, ...row, seed: SEED, backend: `${backend} (${tier})`, cpu, date, losses });
  if (flags.keep) {
    await mkdir(flags.keep, { recursive: true });
    await writeNetworkFile(join(flags.keep, `${nameOf(entry.title)}.safetensors`), network);
  }
  await publish();
}
await publish();

async function publish() {
  const ordered = CASES.map(({ title }) => rows.get(title)).filter(Boolean);
  await writeFile(join(folder, 'retraining.json'), `${JSON.stringify({ rows: ordered }, null, 1)}\n`);
  await writeFile(join(folder, 'retraining.md'), page(ordered));
  await mkdir(join(folder, 'retraining'), { recursive: true });
  for (const { title, losses, epochs } of ordered) {
    const perEpoch = losses.length / epochs.length;
    await writeFile(
      join(folder, 'retraining', `${nameOf(title)}.svg`),
      lossCurve(binned(losses), [], perEpoch),
    );
  }
}

/** Name of a case's files. */
function nameOf(title) {
  return title.replaceAll(/[^a-zA-Z0-9]+/g, '-').toLowerCase();
}

/** Means of at most 300 runs of steps. */
function binned(losses) {
  const size = Math.ceil(losses.length / 300);
  return Array.from({ length: Math.ceil(losses.length / size) }, (_, n) => {
    const some = losses.slice(n * size, (n + 1) * size);
    return { step: n * size + some.length, loss: some.reduce((a, b) => a + b, 0) / some.length };
  });
}

/** What the calibrated network makes of the photographs it was fitted to. */
function seenLine(results) {
  const row = results.find(({ kind, bits, seen }) => kind === 'mobilenet' && bits === 2 && seen);
  const percent = (share) => `${Math.round(100 * share)} %`;
  return row
    ? ` The calibrated network agrees with the float network on ${percent(row.seen.agreement)} of the photographs it was fitted to, and on ${percent(row.before.agreement)} of others.`
    : '';
}

/** What training from scratch comes to. */
function scratchLine(results) {
  const found = results.find(({ title }) => title.endsWith('from scratch'));
  const momentum = found
    ? `With momentum, as the float network was trained, it ends at ${found.after.top1.toFixed(4)}`
    : 'With momentum, as the float network was trained, it has not been measured yet';
  return `**From scratch with Adam it falls short of the float network.** With less decay the losses come down further, and the test pictures show that this was learning by heart. ${momentum}.`;
}

function page(results) {
  const three = (value) => value.toFixed(4);
  return `# Retraining

Written by \`node bench/retraining.mjs\`; retraining.json has every loss, the names lead to its curves. Top-1 and agreement with the float network on pictures that were not trained on; the weights are those after the last
epoch, and none is chosen by the pictures that are scored.

- CIFAR-10: ${FINETUNE.epochs} epochs over 10,000 labelled pictures with the float network as a teacher, batches of ${FINETUNE.batchSize}, Adam from ${FINETUNE.learningRate} down to 0, shifts of 4 pixels and mirroring.
  Before: rounded, with the means corrected.
- Fashion-MNIST: the settings of packages/models/training/retrain.mjs, 60,000 labelled pictures, the float network as a teacher; from scratch by labels alone.
- MobileNet: \`adapt\`, no labels, on the photographs it was calibrated on, ${ADAPT.epochs} epochs, batches of ${ADAPT.batchSize}, Adam from ${ADAPT.learningRate}, squares of at least ${ADAPT.augmentation.zoom} of the side at
  ${ADAPT.augmentation.size} pixels, half of them with a box of another photograph; logits and features of eight layers. Before: calibrated.

Rates of Adam are relative to the root mean square of the weights that share a scale.

${scratchLine(results)}

**\`adapt\` adds nothing to the calibrated MobileNet at 2 bits, and loses nothing at 4.**${seenLine(results)} Tried without success, on a fifth of the calibration photographs that was held
out: higher and lower rates, more epochs, smaller pictures, whole pictures and smaller squares, with and without boxes of other photographs, logits alone, features alone, a temperature of 3, biases, depthwise or all other weights alone.
As many mosaics of enlarged CIFAR-10 pictures besides made it worse. So did pictures of other kinds, squares of desktop wallpapers and photographs of food, some 1,500 of them, in calibration as well as in \`adapt\`.

Three times as many photographs of the same collection did not help either, nor did several squares of each: \`adapt\` makes the network agree more with the float one on the photographs that it learns from, and less on others.

${table(
  [
    'network',
    'B',
    'float top-1',
    'before: top-1',
    'agreement',
    'after: top-1',
    'agreement',
    'pictures',
    'epochs',
    'seconds',
  ],
  results.map((r) => [
    `[${r.title}](retraining/${nameOf(r.title)}.svg)`,
    r.blockSize,
    three(r.float),
    three(r.before.top1),
    three(r.before.agreement),
    `**${three(r.after.top1)}**`,
    `**${three(r.after.agreement)}**`,
    r.pictures,
    r.epochs.length,
    r.seconds.toFixed(0),
  ]),
)}

Machine: ${[...new Set(results.map((r) => `${r.cpu}, ${r.date}`))].join('; ')}. Seed ${SEED}. Seconds are those of a machine that did other things beside.
`;
}
