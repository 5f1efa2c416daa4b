/**
 * SqueezeNet 1.1: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters" (arXiv 1602.07360), in the authors' later
 * and cheaper version, with torchvision's parameter names. No batch normalization, no dense layer.
 */
import { concat, mean, type Tensor4D } from '@tensorflow/tfjs-core';
import type { Architecture, ArchitectureConfig, LayerInput, LayerSpec } from '../architecture.js';
import { type Convolver, convolver, flatten } from '../convolve.js';
import { maximumPool } from '../pooling.js';
import { plainSource } from './torch-names.js';

/** The fire modules: channels of the squeezed tensor, and of each of the two expanded halves. */
const FIRES = [
  { name: 'features.3', squeezed: 16, expanded: 64 },
  { name: 'features.4', squeezed: 16, expanded: 64 },
  { name: 'features.6', squeezed: 32, expanded: 128 },
  { name: 'features.7', squeezed: 32, expanded: 128 },
  { name: 'features.9', squeezed: 48, expanded: 192 },
  { name: 'features.10', squeezed: 48, expanded: 192 },
  { name: 'features.11', squeezed: 64, expanded: 256 },
  { name: 'features.12', squeezed: 64, expanded: 256 },
] as const;

/** Fire modules that read a pooled picture. */
const POOLED: readonly string[] = ['features.3', 'features.6', 'features.9'];

const MAX_POOL = { size: 3, strides: 2, pad: 0, ceil: true } as const;

const STEM_CHANNELS = 64;

/** @param config input 224×224×3 and 1000 classes unless it says otherwise; at least 17×17 */
export function squeezeNet(config: ArchitectureConfig): Architecture {
  const { name, inputSize = 224, channels = 3, classes = 1000 } = config;
  const layers: LayerSpec[] = [
    {
      ...convolution('features.0', 3, channels, STEM_CHANNELS, { layer: null }),
      role: 'stem',
      strides: 2,
      pad: 0,
    },
  ];
  let inputs = STEM_CHANNELS;
  for (const fire of FIRES) {
    const before = layers.at(-1)!.name;
    const { squeezed, expanded } = fire;
    const [squeeze, ...expand] = partsOf(fire.name);
    layers.push(
      convolution(squeeze, 1, inputs, squeezed, {
        layer: before,
        ...(POOLED.includes(fire.name) ? { pool: MAX_POOL } : {}),
      }),
      convolution(expand[0], 1, squeezed, expanded, { layer: squeeze }),
      convolution(expand[1], 3, squeezed, expanded, { layer: squeeze }),
    );
    inputs = 2 * expanded;
  }
  layers.push({
    ...convolution('classifier.1', 1, inputs, classes, { layer: layers.at(-1)!.name }),
    role: 'classifier',
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
      let y = convolve(x, 'features.0', 'relu');
      for (const { name: fire } of FIRES) {
        if (POOLED.includes(fire)) y = maximumPool(y, MAX_POOL);
        y = fireModule(y, fire, convolve);
      }
      // The classifier is a convolution of the whole picture; its activated outputs are averaged.
      return flatten(mean(convolve(y, 'classifier.1', 'relu'), [1, 2], true));
    },
  };
}

/** Few channels in the middle, then 1×1 and 3×3 convolutions side by side. */
function fireModule(x: Tensor4D, name: string, convolve: Convolver): Tensor4D {
  const [squeeze, expand1, expand3] = partsOf(name);
  const squeezed = convolve(x, squeeze, 'relu');
  return concat([convolve(squeezed, expand1, 'relu'), convolve(squeezed, expand3, 'relu')], 3);
}

const partsOf = (fire: string): [string, string, string] => [
  `${fire}.squeeze`,
  `${fire}.expand1x1`,
  `${fire}.expand3x3`,
];

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
    source: plainSource(name),
  };
}
