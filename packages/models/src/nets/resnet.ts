/**
 * ResNet-18, -34, -50, -101 and -152 for ImageNet: He et al., arXiv 1512.03385, with torchvision's parameter names and its place of the stride in a
 * bottleneck (the 3×3 convolution, "v1.5").
 */
import { maxPool, type Tensor4D } from '@tensorflow/tfjs-core';
import type { Architecture, ArchitectureConfig, LayerInput, LayerSpec } from '../architecture.js';
import { type Convolver, classify, convolver } from '../convolve.js';
import { batchNorm } from './torch-names.js';

/** Blocks per stage, and whether they are bottlenecks. */
const VARIANTS: Readonly<Record<number, { blocks: readonly number[]; bottleneck: boolean }>> = {
  18: { blocks: [2, 2, 2, 2], bottleneck: false },
  34: { blocks: [3, 4, 6, 3], bottleneck: false },
  50: { blocks: [3, 4, 6, 3], bottleneck: true },
  101: { blocks: [3, 4, 23, 3], bottleneck: true },
  152: { blocks: [3, 8, 36, 3], bottleneck: true },
};

export const RESNET_DEPTHS = [18, 34, 50, 101, 152] as const;

const MAX_POOL = { size: 3, strides: 2, pad: 1 } as const;

interface Block {
  name: string;
  inputs: number;
  /** Channels inside the block. */
  width: number;
  outputs: number;
  strides: number;
  bottleneck: boolean;
}

const hasDownsample = (block: Block): boolean => block.strides !== 1 || block.inputs !== block.outputs;

/** @param config input 224×224×3 and 1000 classes unless it says otherwise */
export function resNet(depth: (typeof RESNET_DEPTHS)[number], config: ArchitectureConfig): Architecture {
  const { name, inputSize = 224, channels = 3, classes = 1000 } = config;
  const blocks = listBlocks(depth);
  const layers: LayerSpec[] = [
    {
      ...convolution('conv1', 'bn1', 7, channels, 64, 2, { layer: null }),
      role: 'stem',
    },
  ];
  let input: LayerInput = { layer: 'conv1', pool: MAX_POOL };
  for (const block of blocks) {
    const added = blockLayers(block, input);
    layers.push(...added);
    input = { layer: added.at(-1)!.name };
  }
  const features = blocks.at(-1)!.outputs;
  layers.push({
    name: 'fc',
    kind: 'dense',
    role: 'classifier',
    shape: [1, 1, features, classes],
    strides: 1,
    pad: 'valid',
    input: { ...input, pool: 'global' },
    source: { weight: 'fc.weight', bias: 'fc.bias', norm: null },
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
      let y = convolve(x, 'conv1', 'relu');
      y = maxPool(y, MAX_POOL.size, MAX_POOL.strides, MAX_POOL.pad);
      for (const block of blocks) y = residualBlock(y, block, convolve);
      return classify(y, 'fc', convolve);
    },
  };
}

function residualBlock(x: Tensor4D, block: Block, convolve: Convolver): Tensor4D {
  const { name, bottleneck } = block;
  const shortcut = hasDownsample(block) ? convolve(x, `${name}.downsample.0`, 'linear') : x;
  let y = convolve(x, `${name}.conv1`, 'relu');
  if (bottleneck) y = convolve(y, `${name}.conv2`, 'relu');
  return convolve(y, `${name}.conv${bottleneck ? 3 : 2}`, 'relu', shortcut);
}

function listBlocks(depth: (typeof RESNET_DEPTHS)[number]): Block[] {
  const { blocks: counts, bottleneck } = VARIANTS[depth]!;
  const blocks: Block[] = [];
  let inputs = 64;
  counts.forEach((count, stage) => {
    const width = 64 * 2 ** stage;
    const outputs = bottleneck ? width * 4 : width;
    for (let n = 0; n < count; n++) {
      const strides = stage > 0 && n === 0 ? 2 : 1;
      blocks.push({ name: `layer${stage + 1}.${n}`, inputs, width, outputs, strides, bottleneck });
      inputs = outputs;
    }
  });
  return blocks;
}

function blockLayers(block: Block, input: LayerInput): LayerSpec[] {
  const { name, inputs, width, outputs, strides, bottleneck } = block;
  const from = (layer: string): LayerInput => ({ layer: `${name}.${layer}` });
  const layers: LayerSpec[] = [];
  if (hasDownsample(block)) {
    layers.push({
      ...convolution(`${name}.downsample.0`, `${name}.downsample.1`, 1, inputs, outputs, strides, input),
      role: 'shortcut',
    });
  }
  if (bottleneck) {
    layers.push(
      convolution(`${name}.conv1`, `${name}.bn1`, 1, inputs, width, 1, input),
      convolution(`${name}.conv2`, `${name}.bn2`, 3, width, width, strides, from('conv1')),
      convolution(`${name}.conv3`, `${name}.bn3`, 1, width, outputs, 1, from('conv2')),
    );
  } else {
    layers.push(
      convolution(`${name}.conv1`, `${name}.bn1`, 3, inputs, width, strides, input),
      convolution(`${name}.conv2`, `${name}.bn2`, 3, width, outputs, 1, from('conv1')),
    );
  }
  return layers;
}

function convolution(
  name: string,
  norm: string,
  kernel: number,
  inputs: number,
  outputs: number,
  strides: number,
  input: LayerInput,
): LayerSpec {
  return {
    name,
    kind: 'conv2d',
    role: 'body',
    shape: [kernel, kernel, inputs, outputs],
    strides,
    pad: (kernel - 1) / 2,
    input,
    source: { weight: `${name}.weight`, bias: null, norm: batchNorm(norm) },
  };
}
