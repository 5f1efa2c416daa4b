/**
 * Measures the retrained Fashion-MNIST networks on the 10,000 test pictures, and writes everything that the package ships: the network in 4, 3 and 2 bits, twenty test pictures with their
 * labels, golden logits, the model card, and the accuracies for `modelCard`, with the numbers measured here.
 *
 * Usage: node packages/models/training/ship.mjs     after `npm run build` and `node bench/retraining.mjs Fashion-MNIST --keep packages/models/training/build`
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import '@dsconv/backend-cpu';
import { quantizeNetwork, readFloatNetwork, writeNetworkFile } from '@dsconv/converter';
import { selectBackend } from '@dsconv/core';
import { preprocess, readNetwork } from '@dsconv/models';
import { tensor4d } from '@tensorflow/tfjs-core';
import { isInstalled, readPart } from './fashion-mnist.mjs';
import { modelCard } from './model-card.mjs';
import { SETTINGS } from './retrain.mjs';

const ID = 'resnet20.fashion_mnist';
const BITS = [4, 3, 2];
const BATCH = 100;

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const assets = at('../assets/');
const pictures = at('build/pictures/');
const assetOf = (bits) => `${ID}${bits === 4 ? '' : `.${bits}bit`}.safetensors`;

const { name: backend, tier } = await selectBackend(['dsconv-cpu']);
const float = await readFloatNetwork(at('fashion-mnist-resnet20.float32.safetensors'));
if (!isInstalled())
  throw new Error("the pictures are missing; install Debian's package dataset-fashion-mnist");
const testSet = readPart('test');
console.log(`measuring on ${testSet.length} test pictures, backend ${backend} (${tier})`);
const floatClasses = classify(float);
const share = (holds) => testSet.filter((_, n) => holds(n)).length / testSet.length;
const measured = {
  pictures: testSet.length,
  backend: `${backend} (${tier})`,
  float: share((n) => floatClasses[n] === testSet[n].label),
  variants: [],
};

for (const bits of BITS) {
  const { blockSize } = SETTINGS[bits];
  const file = at(`build/fashion-mnist-resnet-20-${bits}-bits.safetensors`);
  const retrained = readNetwork(readFileSync(file), file);
  const { network: rounded, report } = await quantizeNetwork(float, { bits, blockSize });
  const scored = (network) => {
    const classes = classify(network);
    return {
      top1: share((n) => classes[n] === testSet[n].label),
      agreement: share((n) => classes[n] === floatClasses[n]),
    };
  };
  const target = `${assets}${assetOf(bits)}`;
  await writeNetworkFile(target, retrained);
  const variant = {
    bits,
    blockSize,
    file: assetOf(bits),
    bytes: readFileSync(target).length,
    bitsPerWeight: report.bitsPerWeight,
    rounded: scored(rounded),
    retrained: scored(retrained),
  };
  measured.variants.push(variant);
  measured.bytesBefore = report.bytesBefore;
  measured.stem = report.layers[0];
  console.log(variant);
}

if (existsSync(pictures)) {
  mkdirSync(`${assets}fashion-mnist`, { recursive: true });
  for (const { file } of JSON.parse(readFileSync(`${pictures}labels.json`, 'utf8')))
    copyFileSync(`${pictures}${file}`, `${assets}fashion-mnist/${file}`);
  copyFileSync(`${pictures}labels.json`, `${assets}fashion-mnist/labels.json`);
}
const [entry] = JSON.parse(readFileSync(`${assets}fashion-mnist/labels.json`, 'utf8'));
const shipped = readNetwork(readFileSync(`${assets}${assetOf(4)}`));
const golden = {
  file: entry.file,
  backend: measured.backend,
  // The name of a picture starts with its number in the test set.
  logits: Array.from(logitsOf(shipped, [testSet[Number.parseInt(entry.file, 10)]])),
};
writeFileSync(`${assets}fashion-mnist/golden-logits.json`, `${JSON.stringify(golden, null, 2)}\n`);
writeFileSync(
  `${assets}${ID}.md`,
  modelCard({ id: ID, network: shipped, measured, golden, sourceSha256: float.metadata.sourceSha256 }),
);

const common = {
  pictures: measured.pictures,
  data: "Fashion-MNIST's test pictures",
  command: 'node packages/models/training/ship.mjs',
};
const table = `${assets}measurements.json`;
const all = JSON.parse(readFileSync(table, 'utf8'));
all[ID].accuracy = [
  { weights: 'float32', top1: measured.float, agreement: null, ...common },
  ...measured.variants.flatMap(({ bits, blockSize, rounded, retrained }) => [
    { weights: `${bits} bits, blocks of ${blockSize}, rounding`, ...rounded, ...common },
    { weights: `${bits} bits, blocks of ${blockSize}, retrained (a shipped file)`, ...retrained, ...common },
  ]),
];
all[ID].golden = { ...all[ID].golden, backend: golden.backend, logits: golden.logits };
writeFileSync(table, `${JSON.stringify(all, null, 1)}\n`);

function logitsOf(net, items) {
  const { size, channels } = net.preprocessing;
  const values = new Float32Array(items.length * size * size * channels);
  items.forEach(({ image }, n) => {
    values.set(preprocess(image, net.preprocessing), n * size * size * channels);
  });
  const x = tensor4d(values, [items.length, size, size, channels]);
  const y = net.logits(x);
  const logits = y.dataSync();
  x.dispose();
  y.dispose();
  return logits;
}

function classify(net) {
  const classes = [];
  const count = net.architecture.classes;
  for (let start = 0; start < testSet.length; start += BATCH) {
    const logits = logitsOf(net, testSet.slice(start, start + BATCH));
    for (let n = 0; n < logits.length; n += count) {
      const row = logits.subarray(n, n + count);
      classes.push(row.indexOf(Math.max(...row)));
    }
  }
  return classes;
}
