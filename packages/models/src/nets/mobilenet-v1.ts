/**
 * MobileNet v1: Howard et al., arXiv 1704.04861. Any width multiplier; parameter names of keras.applications, as Google published the
 * network for TensorFlow.js.
 */
import type { Architecture, ArchitectureConfig, LayerSpec, NormSource } from '../architecture.js';
import { classify, convolver } from '../convolve.js';

/** Output channels at width 1 and stride of the thirteen depthwise separable blocks. */
const BLOCKS: readonly (readonly [number, number])[] = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [1024, 2],
  [1024, 1],
];

const STEM_CHANNELS = 32;
const KERAS_EPSILON = 1e-3;

/**
 * All 3×3 windows are padded 'same'. For even pictures, 224 among them, that is what Keras' `ZeroPadding2D(((0, 1), (0, 1)))` followed by a
 * 'valid' convolution of stride 2 does; both forms were published.
 *
 * @param width multiplier of all channels, rounded down; greater than 0
 * @param config input 224×224×3 and 1000 classes unless it says otherwise
 */
export function mobileNetV1(width: number, config: ArchitectureConfig): Architecture {
  const { name, inputSize = 224, channels = 3, classes = 1000 } = config;
  const scaled = (count: number): number => Math.max(1, Math.floor(count * width));
  const layers: LayerSpec[] = [
    {
      name: 'conv1',
      kind: 'conv2d',
      role: 'stem',
      shape: [3, 3, channels, scaled(STEM_CHANNELS)],
      strides: 2,
      pad: 'same',
      input: { layer: null },
      source: { weight: 'conv1/kernel', bias: null, norm: kerasNorm('conv1_bn') },
    },
  ];
  let inputs = scaled(STEM_CHANNELS);
  BLOCKS.forEach(([count, strides], n) => {
    const outputs = scaled(count);
    const depthwise = `conv_dw_${n + 1}`;
    const pointwise = `conv_pw_${n + 1}`;
    layers.push(
      {
        name: depthwise,
        kind: 'depthwise',
        role: 'body',
        shape: [3, 3, inputs, 1],
        strides,
        pad: 'same',
        input: { layer: layers.at(-1)!.name },
        source: { weight: `${depthwise}/depthwise_kernel`, bias: null, norm: kerasNorm(`${depthwise}_bn`) },
      },
      {
        name: pointwise,
        kind: 'conv2d',
        role: 'body',
        shape: [1, 1, inputs, outputs],
        strides: 1,
        pad: 'same',
        input: { layer: depthwise },
        source: { weight: `${pointwise}/kernel`, bias: null, norm: kerasNorm(`${pointwise}_bn`) },
      },
    );
    inputs = outputs;
  });
  layers.push({
    name: 'conv_preds',
    kind: 'dense',
    role: 'classifier',
    shape: [1, 1, inputs, classes],
    strides: 1,
    pad: 'valid',
    input: { layer: layers.at(-1)!.name, pool: 'global' },
    source: { weight: 'conv_preds/kernel', bias: 'conv_preds/bias', norm: null },
  });
  return {
    name,
    inputSize,
    channels,
    classes,
    framework: 'keras',
    layers,
    forward(x, parameters) {
      const convolve = convolver(layers, parameters);
      let y = convolve(x, 'conv1', 'relu6');
      for (let n = 1; n <= BLOCKS.length; n++) {
        y = convolve(y, `conv_dw_${n}`, 'relu6');
        y = convolve(y, `conv_pw_${n}`, 'relu6');
      }
      return classify(y, 'conv_preds', convolve);
    },
  };
}

function kerasNorm(name: string): NormSource {
  return {
    gamma: `${name}/gamma`,
    beta: `${name}/beta`,
    mean: `${name}/moving_mean`,
    variance: `${name}/moving_variance`,
    epsilon: KERAS_EPSILON,
  };
}
