/**
 * GoogLeNet with batch normalization: Szegedy et al., "Going Deeper with Convolutions" (arXiv 1409.4842), as torchvision has it from
 * TensorFlow: the 5×5 convolutions are 3×3 there, and the auxiliary classifiers, which only training needs, were published untrained.
 */
import { concat, type Tensor4D } from '@tensorflow/tfjs-core';
import type { Architecture, ArchitectureConfig, LayerInput, LayerSpec, Pooling } from '../architecture.js';
import { type Convolver, classify, convolver } from '../convolve.js';
import { maximumPool } from '../pooling.js';
import { batchNorm } from './torch-names.js';

/** Output channels of an inception module's convolutions. */
interface Inception {
  name: string;
  /** Branch 1: 1×1. */
  direct: number;
  /** Branch 2: 1×1, then 3×3. */
  second: readonly [number, number];
  /** Branch 3: the same. */
  third: readonly [number, number];
  /** Branch 4: 1×1 behind a maximum pooling. */
  pooled: number;
  /** The pooling before the module. */
  pool?: Pooling;
}

const HALVE: Pooling = { size: 3, strides: 2, pad: 0, ceil: true };

/** Leaves the size as it is. */
const NEIGHBOURS: Pooling = { size: 3, strides: 1, pad: 1, ceil: true };

/** Table 1 of the paper. */
const INCEPTIONS: readonly Inception[] = [
  { name: 'inception3a', direct: 64, second: [96, 128], third: [16, 32], pooled: 32, pool: HALVE },
  { name: 'inception3b', direct: 128, second: [128, 192], third: [32, 96], pooled: 64 },
  { name: 'inception4a', direct: 192, second: [96, 208], third: [16, 48], pooled: 64, pool: HALVE },
  { name: 'inception4b', direct: 160, second: [112, 224], third: [24, 64], pooled: 64 },
  { name: 'inception4c', direct: 128, second: [128, 256], third: [24, 64], pooled: 64 },
  { name: 'inception4d', direct: 112, second: [144, 288], third: [32, 64], pooled: 64 },
  { name: 'inception4e', direct: 256, second: [160, 320], third: [32, 128], pooled: 128 },
  {
    name: 'inception5a',
    direct: 256,
    second: [160, 320],
    third: [32, 128],
    pooled: 128,
    pool: { size: 2, strides: 2, pad: 0, ceil: true },
  },
  { name: 'inception5b', direct: 384, second: [192, 384], third: [48, 128], pooled: 128 },
];

/** ε of its normalizations, which is TensorFlow's and not PyTorch's. */
const EPSILON = 1e-3;

/** @param config input 224×224×3 and 1000 classes unless it says otherwise; at least 15×15 */
export function googLeNet(config: ArchitectureConfig): Architecture {
  const { name, inputSize = 224, channels = 3, classes = 1000 } = config;
  const layers: LayerSpec[] = [
    { ...convolution('conv1', 7, channels, 64, { layer: null }), role: 'stem', strides: 2 },
    convolution('conv2', 1, 64, 64, { layer: 'conv1', pool: HALVE }),
    convolution('conv3', 3, 64, 192, { layer: 'conv2' }),
  ];
  let inputs = 192;
  for (const module of INCEPTIONS) {
    const before = layers.at(-1)!.name;
    layers.push(
      ...inceptionLayers(module, inputs, { layer: before, ...(module.pool && { pool: module.pool }) }),
    );
    inputs = module.direct + module.second[1] + module.third[1] + module.pooled;
  }
  layers.push({
    name: 'fc',
    kind: 'dense',
    role: 'classifier',
    shape: [1, 1, inputs, classes],
    strides: 1,
    pad: 'valid',
    input: { layer: layers.at(-1)!.name, pool: 'global' },
    source: { weight: 'fc.weight', bias: 'fc.bias', norm: null },
  });
  return {
    name,
    inputSize,
    channels,
    classes,
    framework: 'pytorch',
    layers,
    trainingOnly: ['aux1.', 'aux2.'],
    forward(x, parameters) {
      const convolve = convolver(layers, parameters);
      let y = maximumPool(convolve(x, 'conv1', 'relu'), HALVE);
      y = convolve(convolve(y, 'conv2', 'relu'), 'conv3', 'relu');
      for (const { name: module, pool } of INCEPTIONS) {
        if (pool) y = maximumPool(y, pool);
        y = inception(y, module, convolve);
      }
      return classify(y, 'fc', convolve);
    },
  };
}

/** Four views of the same picture, side by side. */
function inception(x: Tensor4D, name: string, convolve: Convolver): Tensor4D {
  return concat(
    [
      convolve(x, `${name}.branch1`, 'relu'),
      convolve(convolve(x, `${name}.branch2.0`, 'relu'), `${name}.branch2.1`, 'relu'),
      convolve(convolve(x, `${name}.branch3.0`, 'relu'), `${name}.branch3.1`, 'relu'),
      convolve(maximumPool(x, NEIGHBOURS), `${name}.branch4.1`, 'relu'),
    ],
    3,
  );
}

function inceptionLayers(module: Inception, inputs: number, input: LayerInput): LayerSpec[] {
  const { name, direct, second, third, pooled } = module;
  const wide = (branch: string, [narrow, outputs]: readonly [number, number]): LayerSpec[] => [
    convolution(`${name}.${branch}.0`, 1, inputs, narrow, input),
    convolution(`${name}.${branch}.1`, 3, narrow, outputs, { layer: `${name}.${branch}.0` }),
  ];
  return [
    convolution(`${name}.branch1`, 1, inputs, direct, input),
    ...wide('branch2', second),
    ...wide('branch3', third),
    convolution(`${name}.branch4.1`, 1, inputs, pooled, input),
  ];
}

function convolution(
  name: string,
  kernel: number,
  inputs: number,
  outputs: number,
  input: LayerInput,
): LayerSpec {
  return {
    name,
    kind: 'conv2d',
    role: 'body',
    shape: [kernel, kernel, inputs, outputs],
    strides: 1,
    pad: (kernel - 1) / 2,
    input,
    source: { weight: `${name}.conv.weight`, bias: null, norm: batchNorm(`${name}.bn`, EPSILON) },
  };
}
