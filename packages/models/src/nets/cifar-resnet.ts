/**
 * The ResNets for small pictures: He et al., "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), section 4.2.
 * Three stages of n blocks, 6n+2 layers. Parameter names and shortcuts (option A, no parameters) as in akamaster/pytorch_resnet_cifar10.
 */
import { maxPool, pad, type Tensor4D } from '@tensorflow/tfjs-core';
import type { Architecture, ArchitectureConfig, LayerInput, LayerSpec } from '../architecture.js';
import { type Convolver, classify, convolver } from '../convolve.js';
import { batchNorm } from './torch-names.js';

/** Depths that are published. */
export const CIFAR_RESNET_DEPTHS = [20, 32, 44, 56] as const;

const STAGE_CHANNELS = [16, 32, 64] as const;

interface Block {
  name: string;
  inputs: number;
  outputs: number;
  strides: number;
}

/**
 * @param depth layers, 6n+2
 * @param config input 32×32×3 and 10 classes unless it says otherwise
 */
export function cifarResNet(depth: number, config: ArchitectureConfig): Architecture {
  const { name, inputSize = 32, channels = 3, classes = 10 } = config;
  const blocks = listBlocks((depth - 2) / 6);
  const layers: LayerSpec[] = [convolution('conv1', 'bn1', [channels, 16], 1, { layer: null }, 'stem')];
  for (const block of blocks) {
    const before = layers.at(-1)!.name;
    const { inputs, outputs, strides } = block;
    layers.push(
      convolution(`${block.name}.conv1`, `${block.name}.bn1`, [inputs, outputs], strides, { layer: before }),
      convolution(`${block.name}.conv2`, `${block.name}.bn2`, [outputs, outputs], 1, {
        layer: `${block.name}.conv1`,
      }),
    );
  }
  layers.push({
    name: 'linear',
    kind: 'dense',
    role: 'classifier',
    shape: [1, 1, 64, classes],
    strides: 1,
    pad: 'valid',
    input: { layer: layers.at(-1)!.name, pool: 'global' },
    source: { weight: 'linear.weight', bias: 'linear.bias', norm: null },
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
      for (const block of blocks) y = residualBlock(y, block, convolve);
      return classify(y, 'linear', convolve);
    },
  };
}

function residualBlock(
  x: Tensor4D,
  { name, inputs, outputs, strides }: Block,
  convolve: Convolver,
): Tensor4D {
  const shortcut = inputs === outputs ? x : optionA(x, strides, outputs - inputs);
  const y = convolve(x, `${name}.conv1`, 'relu');
  return convolve(y, `${name}.conv2`, 'relu', shortcut);
}

/** Every second pixel, and half of the missing channels as zeros on either side. */
function optionA(x: Tensor4D, strides: number, missing: number): Tensor4D {
  // A pooling of one pixel is a strided slice that every backend has, fast and with a gradient.
  const sampled = maxPool(x, 1, strides, 'valid');
  const before = Math.floor(missing / 2);
  return pad(sampled, [
    [0, 0],
    [0, 0],
    [0, 0],
    [before, missing - before],
  ]);
}

function listBlocks(perStage: number): Block[] {
  const blocks: Block[] = [];
  let inputs = 16;
  STAGE_CHANNELS.forEach((outputs, stage) => {
    for (let n = 0; n < perStage; n++) {
      const strides = stage > 0 && n === 0 ? 2 : 1;
      blocks.push({ name: `layer${stage + 1}.${n}`, inputs, outputs, strides });
      inputs = outputs;
    }
  });
  return blocks;
}

function convolution(
  name: string,
  norm: string,
  [inputs, outputs]: [number, number],
  strides: number,
  input: LayerInput,
  role: LayerSpec['role'] = 'body',
): LayerSpec {
  return {
    name,
    kind: 'conv2d',
    role,
    shape: [3, 3, inputs, outputs],
    strides,
    // PyTorch's padding=1: one pixel on every side, which is not 'same' at stride 2.
    pad: 1,
    input,
    source: { weight: `${name}.weight`, bias: null, norm: batchNorm(norm) },
  };
}
