/**
 * DenseNet-121: Huang et al., "Densely Connected Convolutional Networks" (arXiv 1608.06993), with torchvision's parameter names. Every layer
 * reads all that came before it in its block, normalized for itself; an activation follows, so these normalizations fold into nothing.
 */
import { avgPool, concat, mean, type Tensor4D } from '@tensorflow/tfjs-core';
import type { Architecture, ArchitectureConfig, LayerInput, LayerSpec } from '../architecture.js';
import { type Convolver, convolver, flatten, normalize } from '../convolve.js';
import { maximumPool } from '../pooling.js';
import { batchNorm } from './torch-names.js';

/** Layers per block. */
const BLOCKS = [6, 12, 24, 16] as const;

/** Channels a layer adds. */
const GROWTH = 32;

/** Channels between the two convolutions of a layer. */
const BOTTLENECK = 4 * GROWTH;

const STEM_CHANNELS = 64;
const MAX_POOL = { size: 3, strides: 2, pad: 1 } as const;
const AVERAGE_POOL = { size: 2, strides: 2, pad: 0 } as const;
const LAST_NORM = 'features.norm5';

const denseLayer = (block: number, n: number): string => `features.denseblock${block}.denselayer${n}`;
const transition = (block: number): string => `features.transition${block}`;

/** @param config input 224×224×3 and 1000 classes unless it says otherwise; at least 29×29 */
export function denseNet(config: ArchitectureConfig): Architecture {
  const { name, inputSize = 224, channels = 3, classes = 1000 } = config;
  const layers: LayerSpec[] = [
    {
      ...convolution('features.conv0', 7, channels, STEM_CHANNELS, { layer: null }),
      role: 'stem',
      strides: 2,
      source: { weight: 'features.conv0.weight', bias: null, norm: batchNorm('features.norm0') },
    },
  ];
  let features = STEM_CHANNELS;
  let input: LayerInput = { layer: 'features.conv0', pool: MAX_POOL };
  BLOCKS.forEach((count, index) => {
    const block = index + 1;
    for (let n = 1; n <= count; n++, features += GROWTH) {
      layers.push(...denseLayers(denseLayer(block, n), features, input));
      input = { layer: layers.at(-1)!.name };
    }
    if (block === BLOCKS.length) return;
    const { name: conv, norm } = { name: `${transition(block)}.conv`, norm: `${transition(block)}.norm` };
    layers.push(
      normalization(norm, features, input),
      convolution(conv, 1, features, features / 2, { layer: norm }),
    );
    features /= 2;
    input = { layer: conv, pool: AVERAGE_POOL };
  });
  layers.push(normalization(LAST_NORM, features, input), {
    name: 'classifier',
    kind: 'dense',
    role: 'classifier',
    shape: [1, 1, features, classes],
    strides: 1,
    pad: 'valid',
    input: { layer: LAST_NORM, pool: 'global' },
    source: { weight: 'classifier.weight', bias: 'classifier.bias', norm: null },
  });
  return {
    name,
    inputSize,
    channels,
    classes,
    framework: 'pytorch',
    layers,
    forward(x, parameters) {
      const convolve = convolver(layers, parameters);
      const activate = (y: Tensor4D, norm: string): Tensor4D => normalize(y, norm, parameters);
      let y = maximumPool(convolve(x, 'features.conv0', 'relu'), MAX_POOL);
      BLOCKS.forEach((count, index) => {
        const block = index + 1;
        for (let n = 1; n <= count; n++) {
          const layer = denseLayer(block, n);
          y = concat([y, grow(activate(y, `${layer}.norm1`), layer, convolve)], 3);
        }
        if (block === BLOCKS.length) return;
        const halved = convolve(
          activate(y, `${transition(block)}.norm`),
          `${transition(block)}.conv`,
          'linear',
        );
        y = avgPool(halved, AVERAGE_POOL.size, AVERAGE_POOL.strides, AVERAGE_POOL.pad);
      });
      return flatten(convolve(mean(activate(y, LAST_NORM), [1, 2], true), 'classifier', 'linear'));
    },
  };
}

/** The channels that a layer adds to what it read. */
function grow(activated: Tensor4D, layer: string, convolve: Convolver): Tensor4D {
  return convolve(convolve(activated, `${layer}.conv1`, 'relu'), `${layer}.conv2`, 'linear');
}

function denseLayers(layer: string, inputs: number, input: LayerInput): LayerSpec[] {
  const [norm1, conv1, conv2] = [`${layer}.norm1`, `${layer}.conv1`, `${layer}.conv2`];
  return [
    normalization(norm1, inputs, input),
    {
      ...convolution(conv1, 1, inputs, BOTTLENECK, { layer: norm1 }),
      source: { weight: `${conv1}.weight`, bias: null, norm: batchNorm(`${layer}.norm2`) },
    },
    convolution(conv2, 3, BOTTLENECK, GROWTH, { layer: conv1 }),
  ];
}

function normalization(name: string, channels: number, input: LayerInput): LayerSpec {
  const norm = batchNorm(name);
  return {
    name,
    kind: 'norm',
    role: 'body',
    shape: [1, 1, 1, channels],
    strides: 1,
    pad: 'valid',
    input,
    source: { weight: norm.gamma, bias: norm.beta, norm },
  };
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
    source: { weight: `${name}.weight`, bias: null, norm: null },
  };
}
