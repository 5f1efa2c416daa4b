/** Layers with weights that DSConv can hold, as {@link Convolution}s; or the reason why one is not. */
import type { Activation } from '@dsconv/core';
import { applyAffine, type Convolution, outChannelsOf } from '../graph/convolution.js';
import { isChannelsLast, LayerConfig } from './layer-config.js';
import { LayerError } from './layer-error.js';
import type { LayerWeights } from './layer-weights.js';
import type { Layer } from './topology.js';

/** What a layer is made of: one convolution, or two for a separable one, the last with the layer's bias and activation. */
export interface FoundLayers {
  convolutions: Convolution[];
  /** An activation behind the last that DSConv has not, by its Keras name. */
  outerActivation: string | null;
}

/** Activations that the operator computes, by their Keras names. */
const FUSED: Readonly<Record<string, Activation>> = {
  linear: 'linear',
  relu: 'relu',
  relu6: 'relu6',
  swish: 'silu',
  silu: 'silu',
};

/** Activations that TensorFlow.js has besides. */
const OTHERS = new Set(
  'elu selu sigmoid hard_sigmoid softplus softsign tanh softmax log_softmax gelu gelu_new mish'.split(' '),
);

/** A Keras activation as what the operator computes, or as what comes behind it; a clause where neither knows it. */
export function fusedActivation(
  name: string | null,
): { fused: Activation; outer: null } | { fused: null; outer: string } | string {
  if (name !== null && Object.hasOwn(FUSED, name)) return { fused: FUSED[name]!, outer: null };
  return name !== null && OTHERS.has(name)
    ? { fused: null, outer: name }
    : `its activation is ${name ?? 'an object'}`;
}

/** True for classes that {@link readLayer} reads. */
export function isConvolutionClass(className: string): boolean {
  return Object.hasOwn(READERS, className);
}

/**
 * @returns the convolutions, or a clause that says why the layer stays as it is
 * @throws LayerError when the layer is malformed, or a weight is missing or of another shape
 */
export function readLayer(layer: Layer, weights: LayerWeights, file: string): FoundLayers | string {
  const config = new LayerConfig(layer, file);
  const isDense = layer.className === 'Dense';
  if (!isDense && !isChannelsLast(config)) return "its data format is 'channels_first'";
  const activation = fusedActivation(config.activation());
  if (typeof activation === 'string') return activation;
  const found = READERS[layer.className]!(layer, config, weights, file);
  if (typeof found === 'string') return found;
  const last = found.at(-1)!;
  if (config.boolean('use_bias', true)) {
    applyAffine(last, null, weights.vector(layer, 'bias', outChannelsOf(last)));
  }
  last.activation = activation.fused ?? 'linear';
  return { convolutions: found, outerActivation: activation.outer };
}

type Reader = (
  layer: Layer,
  config: LayerConfig,
  weights: LayerWeights,
  file: string,
) => Convolution[] | string;

const READERS: Readonly<Record<string, Reader>> = {
  Conv2D(layer, config, weights, file) {
    const convolution = windowed('conv2d', layer, 'kernel', config, weights, file);
    if (typeof convolution === 'string') return convolution;
    const groups = config.number('groups', 1);
    if (!Number.isInteger(groups) || groups < 1 || convolution.shape[3] % groups !== 0) {
      throw new LayerError(
        file,
        layer,
        `has groups ${groups}; expected a divisor of ${convolution.shape[3]} filters`,
      );
    }
    return [{ ...convolution, groups }];
  },
  DepthwiseConv2D(layer, config, weights, file) {
    const convolution = windowed('depthwise', layer, 'depthwise_kernel', config, weights, file);
    return typeof convolution === 'string' ? convolution : [convolution];
  },
  SeparableConv2D(layer, config, weights, file) {
    const depthwise = windowed('depthwise', layer, 'depthwise_kernel', config, weights, file);
    if (typeof depthwise === 'string') return depthwise;
    const { shape, values } = weights.get(layer, 'pointwise_kernel');
    const between = depthwise.shape[2] * depthwise.shape[3];
    if (shape.length !== 4 || shape[0] !== 1 || shape[1] !== 1 || shape[2] !== between || shape[3]! < 1) {
      throw new LayerError(
        file,
        layer,
        `has a pointwise kernel of shape [${shape}]; expected [1,1,${between},filters]`,
      );
    }
    return [depthwise, plain([1, 1, between, shape[3]!], values, layer)];
  },
  Dense(layer, _, weights, file) {
    const { shape, values } = weights.get(layer, 'kernel');
    if (shape.length !== 2 || shape.includes(0)) {
      throw new LayerError(file, layer, `has a kernel of shape [${shape}]; expected a matrix`);
    }
    return [{ ...plain([1, 1, shape[0]!, shape[1]!], values, layer), isDense: true }];
  },
};

function windowed(
  kind: Convolution['kind'],
  layer: Layer,
  part: string,
  config: LayerConfig,
  weights: LayerWeights,
  file: string,
): Convolution | string {
  const padding = config.string('padding', 'valid').toLowerCase();
  if (padding !== 'same' && padding !== 'valid') return `its padding is '${padding}'`;
  const { shape, values } = weights.get(layer, part);
  const size = config.pair('kernel_size', 1);
  if (shape.length !== 4 || shape.includes(0) || shape[0] !== size[0] || shape[1] !== size[1]) {
    throw new LayerError(
      file,
      layer,
      `has a kernel of shape [${shape}]; expected four dimensions for kernel_size [${size}]`,
    );
  }
  return {
    ...plain([...shape] as Convolution['shape'], values, layer),
    kind,
    strides: config.pair('strides', 1),
    dilations: config.pair('dilation_rate', 1),
    pad: padding,
  };
}

function plain(shape: Convolution['shape'], weights: Float32Array, { name }: Layer): Convolution {
  return {
    kind: 'conv2d',
    shape,
    weights,
    bias: null,
    strides: [1, 1],
    dilations: [1, 1],
    pad: 'valid',
    groups: 1,
    activation: 'linear',
    leakyreluAlpha: 0.2,
    slopes: null,
    statistics: null,
    folded: [name],
    isDense: false,
  };
}
