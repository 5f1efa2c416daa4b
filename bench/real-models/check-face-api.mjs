/**
 * Holds the graphs of face-api.mjs against the package's own code, both on TensorFlow.js's plain backend, float: `node bench/real-models/check-face-api.mjs`.
 * The package brings a TensorFlow.js of its own that only starts in a browser, which the script pretends to be
 * in a process of its own: two copies of TensorFlow.js in one share what they know of their surroundings.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FACE_PIXELS, FACE_SIZES, writeFaceNetwork } from './face-api.mjs';
import { PACKAGES, packageFolder } from './packages.mjs';

const folder = packageFolder(PACKAGES.faceApi);
const scratch = mkdtempSync(join(tmpdir(), 'dsconv-face-'));

function shardsOf(directory, manifest) {
  const shards = manifest.flatMap(({ paths }) => paths.map((path) => readFileSync(join(directory, path))));
  return [new Uint8Array(Buffer.concat(shards)).buffer, manifest.flatMap(({ weights }) => weights)];
}

/** Bytes of a picture without a pattern. */
const pixels = (size) =>
  Float32Array.from({ length: size * size * 3 }, (_, n) => 127 + 120 * Math.sin(n * 0.00137 + (n % 3)));

async function graphOutput({ loadGraphModel, tensor }, name) {
  const path = writeFaceNetwork(folder, join(scratch, name), name);
  const { weightsManifest, ...head } = JSON.parse(readFileSync(path, 'utf8'));
  const [weightData, weightSpecs] = shardsOf(join(scratch, name), weightsManifest);
  const model = await loadGraphModel({ load: async () => ({ ...head, weightSpecs, weightData }) });
  const size = FACE_SIZES[name];
  const values = pixels(size).map((value, n) => (value - FACE_PIXELS.mean[n % 3]) / FACE_PIXELS.std[n % 3]);
  return model.predict(tensor(values, [1, size, size, 3])).dataSync();
}

async function loadPackage() {
  Object.defineProperty(process, 'versions', { value: {} });
  const element = { getContext: () => null };
  Object.assign(globalThis, { window: globalThis, document: { createElement: () => element } });
  const faceApi = await import(join(folder, 'dist', 'face-api.esm.js'));
  class Nothing {}
  const make = () => new Nothing();
  faceApi.env.setEnv({
    Canvas: Nothing,
    CanvasRenderingContext2D: Nothing,
    Image: Nothing,
    ImageData: Nothing,
    Video: Nothing,
    createCanvasElement: make,
    createImageElement: make,
    createVideoElement: make,
    fetch: null,
    readFile: null,
  });
  await faceApi.tf.setBackend('cpu');
  return faceApi;
}

async function packageOutput(faceApi, name) {
  const { FaceRecognitionNet, FaceLandmark68Net, FaceExpressionNet, tf, toNetInput } = faceApi;
  const Net = {
    recognition: FaceRecognitionNet,
    landmark_68: FaceLandmark68Net,
    expression: FaceExpressionNet,
  };
  const manifest = join(folder, 'model', `face_${name}_model-weights_manifest.json`);
  const net = new Net[name]();
  net.loadFromWeightMap(
    tf.io.decodeWeights(...shardsOf(join(folder, 'model'), JSON.parse(readFileSync(manifest, 'utf8')))),
  );
  const size = FACE_SIZES[name];
  const input = await toNetInput(tf.tensor4d(pixels(size), [1, size, size, 3]));
  return (name === 'recognition' ? net.forwardInput(input) : net.runNet(input)).dataSync();
}

const names = Object.keys(FACE_SIZES);

/** In the process that is a browser: writes the outputs of the package's networks. */
async function writePackageOutputs(file) {
  const faceApi = await loadPackage();
  const outputs = {};
  for (const name of names) outputs[name] = Array.from(await packageOutput(faceApi, name));
  writeFileSync(file, JSON.stringify(outputs));
}

async function compare() {
  const file = join(scratch, 'outputs.json');
  execFileSync(process.execPath, [fileURLToPath(import.meta.url), file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const expected = JSON.parse(readFileSync(file, 'utf8'));
  const [tf, { loadGraphModel }] = await Promise.all([
    import('@tensorflow/tfjs-core'),
    import('@tensorflow/tfjs-converter'),
    import('@tensorflow/tfjs-backend-cpu'),
  ]);
  await tf.setBackend('cpu');
  for (const name of names) {
    const found = await graphOutput({ loadGraphModel, tensor: tf.tensor }, name);
    const largest = Math.max(...expected[name].map(Math.abs));
    const relative = Math.max(...expected[name].map((value, n) => Math.abs(value - found[n]))) / largest;
    console.log(
      `${name}: ${found.length} values, largest difference ${relative.toExponential(1)} of the largest value`,
    );
    if (!(relative < 1e-5)) process.exitCode = 1;
  }
}

const [, , outputFile] = process.argv;
try {
  await (outputFile === undefined ? compare() : writePackageOutputs(outputFile));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
