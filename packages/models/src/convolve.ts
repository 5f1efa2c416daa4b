import { DSConvFilter, dsconv2d, dsDepthwiseConv2d, InvalidArgumentError } from '@dsconv/core';
import {
  add,
  fused,
  mean,
  mul,
  relu,
  relu6,
  reshape,
  type Tensor2D,
  type Tensor4D,
} from '@tensorflow/tfjs-core';
import type { LayerParameters, LayerSpec, NetActivation, NetworkParameters } from './architecture.js';

/** Arguments of {@link convolve} beside the input and the parameters. */
export interface ConvolveOptions {
  depthwise?: boolean;
  strides: number;
  pad: LayerSpec['pad'];
  activation: NetActivation;
  /** Added before the activation; shape of the output. */
  residual?: Tensor4D | undefined;
  /** See {@link NetworkParameters}; float filters ignore it. */
  activationBits: number | null;
  /** Round the result of a quantized convolution to the grid its readers would round it to, so that a residual can be kept as integers too. */
  onGrid?: boolean;
}

/**
 * One convolution with whatever filter the layer has: `tf.fused` for a float tensor, DSConv for a quantized filter. The residual goes into
 * the quantized operator, which adds it before its activation; TensorFlow.js has no such argument, so there it is two more operators.
 *
 * @param x float32 NHWC
 */
export function convolve(x: Tensor4D, parameters: LayerParameters, options: ConvolveOptions): Tensor4D {
  const { filter, bias } = parameters;
  const { depthwise = false, strides, pad, activation, residual, activationBits, onGrid } = options;
  if (filter instanceof DSConvFilter) {
    const operator = depthwise ? dsDepthwiseConv2d : dsconv2d;
    return operator(x, filter, strides, pad, {
      activation,
      activationBits,
      ...(bias ? { bias } : {}),
      ...(residual ? { residual } : {}),
      ...(onGrid && activationBits !== null
        ? { outputFormat: { bits: activationBits, blockSize: filter.blockSize } }
        : {}),
    });
  }
  const y = (depthwise ? fused.depthwiseConv2d : fused.conv2d)({
    x,
    filter,
    strides,
    pad,
    activation: residual ? 'linear' : activation,
    ...(bias ? { bias } : {}),
  }) as Tensor4D;
  if (!residual) return y;
  const sum = add(y, residual) as Tensor4D;
  return activation === 'relu' ? relu(sum) : activation === 'relu6' ? relu6(sum) : sum;
}

/** Convolves with a layer by its name. */
export type Convolver = (
  x: Tensor4D,
  layer: string,
  activation: NetActivation,
  residual?: Tensor4D,
) => Tensor4D;

/** Binds {@link convolve} to a table of layers, so that a forward function names layers and nothing else. */
export function convolver(layers: readonly LayerSpec[], parameters: NetworkParameters): Convolver {
  const specs = new Map(layers.map((layer) => [layer.name, layer]));
  return (x, name, activation, residual) => {
    const spec = specs.get(name);
    // What is added up from block to block: by far the most bytes of a residual network's activations.
    const onGrid = residual !== undefined || spec?.role === 'shortcut';
    if (spec && parameters.convolve) return parameters.convolve(x, spec, { activation, residual, onGrid });
    const layer = parameters.layers.get(name);
    if (!spec || !layer) {
      throw new InvalidArgumentError(`parameters have no layer '${name}'; expected one per layer`);
    }
    return convolve(x, layer, {
      depthwise: spec.kind === 'depthwise',
      strides: spec.strides,
      pad: spec.pad,
      activation,
      residual,
      activationBits: parameters.activationBits,
      onGrid,
    });
  };
}

/** Scales and shifts every channel by a `norm` layer, then `relu`: the pre-activation of DenseNet. */
export function normalize(x: Tensor4D, layer: string, { layers }: NetworkParameters): Tensor4D {
  const { filter, bias } = layers.get(layer) ?? {};
  if (!filter || filter instanceof DSConvFilter || !bias) {
    throw new InvalidArgumentError(
      `parameters have no scale and shift '${layer}'; expected float ones per normalization`,
    );
  }
  return relu(add(mul(x, filter), bias)) as Tensor4D;
}

/** A tensor of one pixel to logits `[N, classes]`. */
export function flatten(x: Tensor4D): Tensor2D {
  return reshape(x, [x.shape[0], x.shape[3]]);
}

/** Mean over the picture, then the classifier as a 1×1 convolution: `[N, H, W, C]` to logits `[N, classes]`. */
export function classify(x: Tensor4D, layer: string, convolveLayer: Convolver): Tensor2D {
  return flatten(convolveLayer(mean(x, [1, 2], true), layer, 'linear'));
}
