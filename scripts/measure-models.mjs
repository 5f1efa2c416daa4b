/** What model cards tell that needs weights or data: accuracy, as docs/benchmarks/calibration.json has it, and golden logits. */
import { readFile, writeFile } from 'node:fs/promises';
import { readFloatNetwork } from '@dsconv/converter';
import { getModel, preprocess } from '@dsconv/models';
import { tensor4d } from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { useTfjsWasm } from '../bench/cpu/engines/tfjs-backend.mjs';
import { dataPath } from '../bench/data.mjs';

const ROOT = new URL('../', import.meta.url);
const PICTURE = 'golden/picture.png';

const PHOTOGRAPHS =
  'one photograph for every fourth class of ImageNet, probably from the training set, so that only the difference to float means something';
const CIFAR =
  "CIFAR-10's test pictures decoded from JPEG copies, on which the float network scores about ten points less";

/** Networks whose weights and pictures are among the measuring data; `network` as in docs/benchmarks/calibration.json. */
const MEASURED = {
  'mobilenet_v1_0.75.keras_in1k': {
    network: 'MobileNet v1 0.75',
    file: 'mobilenet-v1-0.75-224',
    data: PHOTOGRAPHS,
  },
  'resnet20.cifar10': { network: 'CIFAR ResNet-20', file: 'cifar-resnet20.safetensors', data: CIFAR },
  'resnet56.cifar10': { network: 'CIFAR ResNet-56', file: 'cifar-resnet56.safetensors', data: CIFAR },
};

const SHIPPED = 'resnet20.fashion_mnist';

/** @param {URL} target measurements.json */
export async function measure(target) {
  const before = await readJson(target).catch(() => ({}));
  const benchmark = await readJson(new URL('docs/benchmarks/calibration.json', ROOT));
  const after = { [SHIPPED]: { ...before[SHIPPED], golden: await shippedGolden() } };
  await useTfjsWasm();
  for (const [id, { network, file, data }] of Object.entries(MEASURED)) {
    const path = dataPath(file);
    const golden = path ? await goldenOf(path) : before[id]?.golden;
    after[id] = {
      accuracy: accuracyOf(
        benchmark.rows.filter((row) => row.network === network),
        data,
      ),
      ...(golden && { golden }),
    };
    console.log(`${id}: ${path ? 'golden logits made anew' : 'no weights here, golden logits kept'}`);
  }
  await writeFile(target, `${JSON.stringify(after, null, 1)}\n`);
}

function accuracyOf(rows, data) {
  const command = 'node bench/calibration.mjs';
  const [first] = rows;
  if (!first) return [];
  const common = { pictures: first.evaluationPictures, data, command };
  return [
    { weights: 'float32', top1: first.floatTop1, agreement: null, ...common },
    ...rows.map(({ method, top1, agreement, ...row }) => ({
      weights: `${weightsOf(row)}, ${method}`,
      top1,
      agreement,
      ...common,
    })),
  ];
}

function weightsOf({ bits, blockSize, note, bitsPerWeight }) {
  if (bits === null) return `mixed, ${bitsPerWeight.toFixed(2)} bits per weight with scales`;
  return `${bits} bits${note ? ` (${note.trim().replace(/^\(|\)$/g, '')})` : ''}, blocks of ${blockSize}`;
}

/** Logits of TensorFlow.js' own kernels, none of this project's. */
async function goldenOf(path) {
  const network = await readFloatNetwork(path);
  const { size } = network.preprocessing;
  const file = new URL(`packages/models/assets/${PICTURE}`, ROOT);
  const { data, info } = await sharp(await readFile(file))
    .raw()
    .toBuffer({ resolveWithObject: true });
  const image = { data, width: info.width, height: info.height, channels: info.channels };
  const x = tensor4d(preprocess(image, network.preprocessing), [1, size, size, 3]);
  const y = network.logits(x);
  const logits = Array.from(await y.data(), (value) => Number(value.toPrecision(6)));
  const { sourceSha256 } = network.metadata;
  for (const used of [x, y, network]) used.dispose();
  return { picture: PICTURE, weights: 'float32', sourceSha256, backend: 'tfjs-backend-wasm', logits };
}

/** As training/ship.mjs wrote them. */
async function shippedGolden() {
  const folder = 'fashion-mnist';
  const { file, backend, logits } = await readJson(
    new URL(`packages/models/assets/${folder}/golden-logits.json`, ROOT),
  );
  return {
    picture: `${folder}/${file}`,
    weights: '4 bits, blocks of 64',
    sourceSha256: getModel(SHIPPED).weights.sourceSha256,
    backend,
    logits,
  };
}

const readJson = async (url) => JSON.parse(await readFile(url, 'utf8'));
