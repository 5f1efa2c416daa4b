/**
 * MobileNet v2: Sandler et al., "Inverted Residuals and Linear Bottlenecks" (arXiv 1801.04381). Any width multiplier; parameter names and
 * padding of torchvision.
 */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Architecture, ArchitectureConfig, LayerInput, LayerSpec } from '../architecture.js';
import { type Convolver, classify, convolver } from '../convolve.js';
import { batchNorm } from './torch-names.js';

/** Table 2 of the paper: expansion t, output channels c at width 1, repetitions n, stride s of the first. */
const STAGES = [
  { t: 1, c: 16, n: 1, s: 1 },
  { t: 6, c: 24, n: 2, s: 2 },
  { t: 6, c: 32, n: 3, s: 2 },
  { t: 6, c: 64, n: 4, s: 2 },
  { t: 6, c: 96, n: 3, s: 1 },
  { t: 6, c: 160, n: 3, s: 2 },
  { t: 6, c: 320, n: 1, s: 1 },
] as const;

const STEM_CHANNELS = 32;
const HEAD_CHANNELS = 1280;

interface Block {
  /** Such as 'features.1.conv'. */
  name: string;
  inputs: number;
  expanded: number;
  outputs: number;
  strides: number;
}

const isExpanding = (block: Block): boolean => block.expanded !== block.inputs;

/** Names of a block's convolutions; the depthwise one is the first where nothing is expanded. */
function namesOf(block: Block): { expand: string | null; depthwise: string; project: string } {
  const { name } = block;
  if (!isExpanding(block)) return { expand: null, depthwise: `${name}.0.0`, project: `${name}.1` };
  return { expand: `${name}.0.0`, depthwise: `${name}.1.0`, project: `${name}.2` };
}

/**
 * @param width multiplier of all channels, greater than 0; the head keeps its size below 1, as in the paper
 * @param config input 224×224×3 and 1000 classes unless it says otherwise
 */
export function mobileNetV2(width: number, config: ArchitectureConfig): Architecture {
  const { name, inputSize = 224, channels = 3, classes = 1000 } = config;
  const blocks = listBlocks(width);
  const stem = divisible(STEM_CHANNELS * width);
  const layers: LayerSpec[] = [
    {
      ...convolution('features.0.0', 'features.0.1', 3, channels, stem, { layer: null }),
      role: 'stem',
      strides: 2,
    },
  ];
  for (const block of blocks) layers.push(...blockLayers(block, layers.at(-1)!.name));
  const head = `features.${blocks.length + 1}`;
  const features = divisible(HEAD_CHANNELS * Math.max(1, width));
  const { name: before } = layers.at(-1)!;
  const { outputs } = blocks.at(-1)!;
  layers.push(convolution(`${head}.0`, `${head}.1`, 1, outputs, features, { layer: before }), {
    name: 'classifier.1',
    kind: 'dense',
    role: 'classifier',
    shape: [1, 1, features, classes],
    strides: 1,
    pad: 'valid',
    input: { layer: `${head}.0`, pool: 'global' },
    source: { weight: 'classifier.1.weight', bias: 'classifier.1.bias', norm: null },
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
      let y = convolve(x, 'features.0.0', 'relu6');
      for (const block of blocks) y = invertedResidual(y, block, convolve);
      return classify(convolve(y, `${head}.0`, 'relu6'), 'classifier.1', convolve);
    },
  };
}

/** Wide inside, narrow outside; the narrow ends are linear, so that the shortcut between them is added without an activation. */
function invertedResidual(x: Tensor4D, block: Block, convolve: Convolver): Tensor4D {
  const { expand, depthwise, project } = namesOf(block);
  const shortcut = block.strides === 1 && block.inputs === block.outputs ? x : undefined;
  let y = expand === null ? x : convolve(x, expand, 'relu6');
  y = convolve(y, depthwise, 'relu6');
  return convolve(y, project, 'linear', shortcut);
}

function listBlocks(width: number): Block[] {
  const blocks: Block[] = [];
  let inputs = divisible(STEM_CHANNELS * width);
  for (const { t, c, n, s } of STAGES) {
    const outputs = divisible(c * width);
    for (let repetition = 0; repetition < n; repetition++) {
      const name = `features.${blocks.length + 1}.conv`;
      blocks.push({ name, inputs, expanded: inputs * t, outputs, strides: repetition === 0 ? s : 1 });
      inputs = outputs;
    }
  }
  return blocks;
}

function blockLayers(block: Block, before: string): LayerSpec[] {
  const { inputs, expanded, outputs, strides } = block;
  const { expand, depthwise, project } = namesOf(block);
  // A convolution followed by an activation sits with its normalization in a module of its own.
  const normOf = (convolutionName: string): string => convolutionName.replace(/0$/, '1');
  const input: LayerInput = { layer: before };
  const layers: LayerSpec[] = [];
  if (expand !== null) layers.push(convolution(expand, normOf(expand), 1, inputs, expanded, input));
  layers.push(
    {
      ...convolution(depthwise, normOf(depthwise), 3, expanded, 1, { layer: expand ?? before }),
      kind: 'depthwise',
      strides,
    },
    convolution(project, expand === null ? `${block.name}.2` : `${block.name}.3`, 1, expanded, outputs, {
      layer: depthwise,
    }),
  );
  return layers;
}

function convolution(
  name: string,
  norm: string,
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
    source: { weight: `${name}.weight`, bias: null, norm: batchNorm(norm) },
  };
}

/** The nearest multiple of 8, but not more than 10 % below; as in the authors' code and torchvision's `_make_divisible`. */
function divisible(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}
