/**
 * VGG-11, -13, -16 and -19, with and without batch normalization: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale
 * Image Recognition" (arXiv 1409.1556), configurations A, B, D and E, with torchvision's parameter names.
 */
import type { Architecture, ArchitectureConfig, LayerInput, LayerSpec } from '../architecture.js';
import { convolver, flatten } from '../convolve.js';
import { adaptiveAveragePool, maximumPool } from '../pooling.js';
import { batchNorm, plainSource } from './torch-names.js';

export const VGG_DEPTHS = [11, 13, 16, 19] as const;

type Depth = (typeof VGG_DEPTHS)[number];

/** 3×3 convolutions in each of the five stages. */
const STAGES: Readonly<Record<Depth, readonly number[]>> = {
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
};

const STAGE_CHANNELS = [64, 128, 256, 512, 512] as const;

const MAX_POOL = { size: 2, strides: 2, pad: 0 } as const;

/** Side of the picture that the dense layers read. */
const POOLED = 7;

const HIDDEN = 4096;

/**
 * @param normalized with batch normalization after every convolution
 * @param config input 224×224×3 and 1000 classes unless it says otherwise; at least 32×32
 */
export function vgg(depth: Depth, normalized: boolean, config: ArchitectureConfig): Architecture {
  const { name, inputSize = 224, channels = 3, classes = 1000 } = config;
  const stages = stageLayers(depth, normalized, channels);
  const last = stages.at(-1)!.at(-1)!.name;
  const layers: LayerSpec[] = [
    ...stages.flat(),
    dense('classifier.0', POOLED, 512, HIDDEN, {
      layer: last,
      pool: { adaptive: POOLED, before: MAX_POOL },
    }),
    dense('classifier.3', 1, HIDDEN, HIDDEN, { layer: 'classifier.0' }),
    { ...dense('classifier.6', 1, HIDDEN, classes, { layer: 'classifier.3' }), role: 'classifier' },
  ];
  return {
    name,
    inputSize,
    channels,
    classes,
    framework: 'pytorch',
    layers,
    forward(x, parameters) {
      const convolve = convolver(layers, parameters);
      let y = x;
      for (const stage of stages) {
        for (const layer of stage) y = convolve(y, layer.name, 'relu');
        y = maximumPool(y, MAX_POOL);
      }
      y = convolve(adaptiveAveragePool(y, POOLED), 'classifier.0', 'relu');
      y = convolve(y, 'classifier.3', 'relu');
      return flatten(convolve(y, 'classifier.6', 'linear'));
    },
  };
}

/** The convolutions, stage by stage; their numbers count the activations, normalizations and poolings between them. */
function stageLayers(depth: Depth, normalized: boolean, channels: number): LayerSpec[][] {
  let module = 0;
  let inputs = channels;
  let input: LayerInput = { layer: null };
  return STAGES[depth].map((count, stage) => {
    const outputs = STAGE_CHANNELS[stage]!;
    const layers: LayerSpec[] = [];
    for (let n = 0; n < count; n++) {
      const name = `features.${module}`;
      const norm = normalized ? batchNorm(`features.${module + 1}`) : null;
      layers.push({
        name,
        kind: 'conv2d',
        role: module === 0 ? 'stem' : 'body',
        shape: [3, 3, inputs, outputs],
        strides: 1,
        pad: 1,
        input,
        source: { ...plainSource(name), norm },
      });
      inputs = outputs;
      input = { layer: name };
      module += normalized ? 3 : 2;
    }
    module++;
    input = { ...input, pool: MAX_POOL };
    return layers;
  });
}

function dense(name: string, side: number, inputs: number, outputs: number, input: LayerInput): LayerSpec {
  return {
    name,
    kind: 'dense',
    role: 'body',
    shape: [side, side, inputs, outputs],
    strides: 1,
    pad: 'valid',
    input,
    source: plainSource(name),
  };
}
