/**
 * Quantizes the trained Fashion-MNIST network, measures it on the 10,000 test pictures, and writes everything that the package ships:
 * the network, twenty test pictures with their labels, golden logits, and the model card with the numbers measured here.
 *
 * Usage: node packages/models/training/quantize.mjs [FLOAT.safetensors]     after `npm run build`
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import '@dsconv/backend-cpu';
import { quantizeNetwork, readFloatNetwork, writeNetworkFile } from '@dsconv/converter';
import { selectBackend } from '@dsconv/core';
import { preprocess } from '@dsconv/models';
import { tensor4d } from '@tensorflow/tfjs-core';
import { readTestSet } from './fashion-mnist.mjs';
import { modelCard } from './model-card.mjs';

const ID = 'resnet20.fashion_mnist';
const OPTIONS = { bits: 4, blockSize: 64, activationBits: 8 };
const BATCH = 100;

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const floatPath = process.argv[2] ?? at('build/fashion-mnist-resnet20.safetensors');
const pictures = at('build/pictures/');
const assets = at('../assets/');

const { name: backend, tier } = await selectBackend(['dsconv-cpu']);
const float = await readFloatNetwork(floatPath);
const { network, report } = await quantizeNetwork(float, OPTIONS);

const testSet = readTestSet();
console.log(`measuring on ${testSet.length} test pictures, backend ${backend} (${tier})`);
const floatClasses = classify(float);
const quantizedClasses = classify(network);
const share = (holds) => testSet.filter((_, n) => holds(n)).length / testSet.length;
const measured = {
  pictures: testSet.length,
  backend: `${backend} (${tier})`,
  float: share((n) => floatClasses[n] === testSet[n].label),
  quantized: share((n) => quantizedClasses[n] === testSet[n].label),
  agreement: share((n) => floatClasses[n] === quantizedClasses[n]),
};

mkdirSync(`${assets}fashion-mnist`, { recursive: true });
await writeNetworkFile(`${assets}${ID}.safetensors`, network);
const entries = JSON.parse(readFileSync(`${pictures}labels.json`, 'utf8'));
for (const { file } of entries) copyFileSync(`${pictures}${file}`, `${assets}fashion-mnist/${file}`);
copyFileSync(`${pictures}labels.json`, `${assets}fashion-mnist/labels.json`);
// The name of a picture starts with its number in the test set.
const index = Number.parseInt(entries[0].file, 10);
const golden = {
  file: entries[0].file,
  backend: measured.backend,
  logits: Array.from(logitsOf(network, [testSet[index]])),
};
writeFileSync(`${assets}fashion-mnist/golden-logits.json`, `${JSON.stringify(golden, null, 2)}\n`);
writeFileSync(
  `${assets}${ID}.md`,
  modelCard({ id: ID, options: OPTIONS, network, report, measured, golden, training: float.metadata }),
);
console.log(measured, `${report.bytesBefore} → ${report.bytesAfter} bytes`);

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
