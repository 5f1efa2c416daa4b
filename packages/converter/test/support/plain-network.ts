/** A small network without batch normalization, trained here on textures that are drawn, not stored. */
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import {
  type Architecture,
  convolve,
  type LayerParameters,
  type LayerSpec,
  type LayerWeights,
  Network,
  type Preprocessing,
} from '@dsconv/models';
import {
  losses,
  mean,
  oneHot,
  reshape,
  type Scalar,
  type Tensor1D,
  type Tensor2D,
  type Tensor4D,
  tensor1d,
  tensor4d,
  tidy,
  train,
  type Variable,
  variable,
} from '@tensorflow/tfjs-core';
import type { CalibrationPictures } from '../../src/index.js';
import { type Random, seededRandom } from '../../src/random.js';

const SIZE = 12;
const CLASSES = 8;
const STEPS = 160;
const BATCH = 32;

/** Name, `[kh, kw, I, O]`, stride. Squeezed and expanded as in SqueezeNet. */
const LAYERS = [
  ['conv1', [3, 3, 1, 16], 1],
  ['conv2', [3, 3, 16, 32], 2],
  ['squeeze', [1, 1, 32, 16], 1],
  ['expand', [3, 3, 16, 48], 2],
  ['classifier', [1, 1, 48, CLASSES], 1],
] as const;

const PREPROCESSING: Preprocessing = {
  size: SIZE,
  channels: 1,
  resize: { mode: 'exact', cropRatio: 1 },
  interpolation: 'bilinear',
  antialias: true,
  range: [0, 1],
  mean: [0],
  std: [1],
};

const specs = LAYERS.map(([name, shape, strides], n): LayerSpec => {
  const role = n === 0 ? 'stem' : name === 'classifier' ? 'classifier' : 'body';
  const kind = name === 'classifier' ? 'dense' : 'conv2d';
  const source = { weight: `${name}.weight`, bias: `${name}.bias`, norm: null };
  const input = { layer: LAYERS[n - 1]?.[0] ?? null };
  return { name, kind, role, shape, strides, pad: 'same', input, source };
});

const architecture: Architecture = {
  name: 'textures',
  inputSize: SIZE,
  channels: 1,
  classes: CLASSES,
  framework: 'pytorch',
  layers: specs,
  forward(x, { layers, activationBits }) {
    let y = x;
    for (const { name, strides, pad, kind } of specs) {
      const isLast = kind === 'dense';
      if (isLast) y = mean(y, [1, 2], true);
      y = convolve(y, layers.get(name)!, {
        strides,
        pad,
        activation: isLast ? 'linear' : 'relu',
        activationBits,
      });
    }
    return reshape(y, [x.shape[0], CLASSES]) as Tensor2D;
  },
};

/** Stripes of a class's direction and width, with noise over them. */
function draw(label: number, random: Random): Float32Array {
  const angle = ((label % 4) * Math.PI) / 4 + 0.35 * (random() - 0.5);
  const [u, v] = [Math.cos(angle), Math.sin(angle)].map((part) => part * (label < 4 ? 1 : 1.7));
  const phase = 2 * Math.PI * random();
  const strength = 0.4 + 0.6 * random();
  return Float32Array.from({ length: SIZE * SIZE }, (_, n) => {
    const wave = Math.sin(u! * (n % SIZE) + v! * Math.floor(n / SIZE) + phase);
    return 0.5 + strength * 0.5 * wave + 1.3 * (random() - 0.5);
  });
}

/** Pictures of all classes in turn; others for another seed. */
export function textures(count: number, seed: number): CalibrationPictures {
  return {
    count,
    read: async (n) => draw(n % CLASSES, seededRandom(seed * 10_007 + n)),
  };
}

/** Trained for seconds, to well above chance. */
export function trainedWithoutNorms(): Network {
  const random = seededRandom(5);
  const variables = new Map<string, { filter: Variable; bias: Variable }>();
  for (const { name, shape } of specs) {
    const count = shape[0] * shape[1] * shape[2] * shape[3];
    const spread = Math.sqrt(6 / (shape[0] * shape[1] * shape[2]));
    const values = Float32Array.from({ length: count }, () => spread * (2 * random() - 1));
    variables.set(name, {
      filter: variable(tensor4d(values, [...shape])),
      bias: variable(tensor1d(new Float32Array(shape[3]))),
    });
  }
  const layers = variables as unknown as ReadonlyMap<string, LayerParameters>;
  const optimizer = train.adam(0.004);
  for (let step = 0; step < STEPS; step++) {
    tidy(() => {
      const labels = Array.from({ length: BATCH }, () => Math.floor(random() * CLASSES));
      const data = labels.flatMap((label) => [...draw(label, random)]);
      const x = tensor4d(data, [BATCH, SIZE, SIZE, 1]);
      const wanted = oneHot(tensor1d(labels, 'int32'), CLASSES);
      optimizer.minimize(
        () =>
          losses.softmaxCrossEntropy(
            wanted,
            architecture.forward(x, { layers, activationBits: null }),
          ) as Scalar,
      );
    });
  }
  const weights = new Map<string, LayerWeights>();
  for (const [name, { filter, bias }] of variables) {
    weights.set(name, {
      filter: Float32Array.from((filter as unknown as Tensor4D).dataSync()),
      bias: Float32Array.from((bias as unknown as Tensor1D).dataSync()),
    });
    filter.dispose();
    bias.dispose();
  }
  optimizer.dispose();
  return new Network({ architecture, weights, preprocessing: PREPROCESSING });
}
