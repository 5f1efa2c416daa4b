/**
 * AlexNet in the form for one device: Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (arXiv 1404.5997), with
 * torchvision's parameter names. No batch normalization; six sevenths of the weights are in the first two dense layers.
 */
import type { Architecture, ArchitectureConfig, LayerInput, LayerSpec } from '../architecture.js';
import { convolver, flatten } from '../convolve.js';
import { adaptiveAveragePool, maximumPool } from '../pooling.js';
import { plainSource } from './torch-names.js';

const MAX_POOL = { size: 3, strides: 2, pad: 0 } as const;

/** Side of the picture that the dense layers read. */
const POOLED = 6;

const HIDDEN = 4096;

/** @param config input 224×224×3 and 1000 classes unless it says otherwise; at least 63×63 */
export function alexNet(config: ArchitectureConfig): Architecture {
  const { name, inputSize = 224, channels = 3, classes = 1000 } = config;
  const pooled = (layer: string): LayerInput => ({ layer, pool: MAX_POOL });
  const layers: LayerSpec[] = [
    { ...convolution('features.0', 11, channels, 64, { layer: null }), role: 'stem', strides: 4, pad: 2 },
    convolution('features.3', 5, 64, 192, pooled('features.0')),
    convolution('features.6', 3, 192, 384, pooled('features.3')),
    convolution('features.8', 3, 384, 256, { layer: 'features.6' }),
    convolution('features.10', 3, 256, 256, { layer: 'features.8' }),
    dense('classifier.1', POOLED, 256, HIDDEN, {
      layer: 'features.10',
      pool: { adaptive: POOLED, before: MAX_POOL },
    }),
    dense('classifier.4', 1, HIDDEN, HIDDEN, { layer: 'classifier.1' }),
    { ...dense('classifier.6', 1, HIDDEN, classes, { layer: 'classifier.4' }), role: 'classifier' },
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
      let y = maximumPool(convolve(x, 'features.0', 'relu'), MAX_POOL);
      y = maximumPool(convolve(y, 'features.3', 'relu'), MAX_POOL);
      y = convolve(y, 'features.6', 'relu');
      y = convolve(y, 'features.8', 'relu');
      y = maximumPool(convolve(y, 'features.10', 'relu'), MAX_POOL);
      y = convolve(adaptiveAveragePool(y, POOLED), 'classifier.1', 'relu');
      y = convolve(y, 'classifier.4', 'relu');
      return flatten(convolve(y, 'classifier.6', 'linear'));
    },
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
    source: plainSource(name),
  };
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
