/** What an architecture is: a table of layers as data, and one forward function for float and quantized parameters alike. */
import type { DSConvFilter } from '@dsconv/core';
import type { Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';

/**
 * `dense` is a convolution whose window covers its whole input: 1×1 on a pooled `[N, 1, 1, C]`, 7×7 on VGG's last picture.
 *
 * `norm` is a batch normalization that folds into no convolution because an activation stands between them: one scale and one shift per
 * channel. It always stays float.
 */
export type LayerKind = 'conv2d' | 'depthwise' | 'dense' | 'norm';

/** `stem` is the first convolution, which reads the picture; it and depthwise layers keep 8 bits by default. */
export type LayerRole = 'stem' | 'body' | 'shortcut' | 'classifier';

/** Names of a batch normalization's tensors in the source framework. */
export interface NormSource {
  gamma: string;
  beta: string;
  mean: string;
  variance: string;
  epsilon: number;
}

/** Names of a layer's tensors in the source framework; null where the layer has none. Weight and bias of a `norm` layer are its γ and β. */
export interface LayerSource {
  weight: string;
  bias: string | null;
  norm: NormSource | null;
}

/** A pooling by windows. `ceil` rounds the number of windows up, so that the last one may reach over the border (PyTorch's `ceil_mode`). */
export interface Pooling {
  size: number;
  strides: number;
  pad: number;
  ceil?: boolean;
}

/** Where the picture that a layer reads comes from; only its size matters here. */
export interface LayerInput {
  /** The layer whose output has the size of this layer's input, or null for the network's input. */
  layer: string | null;
  /** A pooling in between. 'global' leaves one pixel, `adaptive` a square of that side, whatever the pooling before it left. */
  pool?: 'global' | { adaptive: number; before: Pooling } | Pooling;
}

/** One convolution (or dense layer), batch normalization folded into it; or a normalization of its own. */
export interface LayerSpec {
  readonly name: string;
  readonly kind: LayerKind;
  readonly role: LayerRole;
  /** conv2d and dense: HWIO; depthwise: `[kh, kw, channels, multiplier]`; norm: `[1, 1, 1, channels]`. */
  readonly shape: readonly [number, number, number, number];
  readonly strides: number;
  readonly pad: 'same' | 'valid' | number;
  readonly input: LayerInput;
  readonly source: LayerSource;
}

/** Parameters of one layer as tensors of the current backend; a quantized filter is an attribute, not a tensor. */
export interface LayerParameters {
  /** Of a `norm` layer: the scales. */
  filter: Tensor4D | DSConvFilter;
  /** `[outChannels]`. */
  bias: Tensor1D | null;
}

/** Activations the nets here use. */
export type NetActivation = 'linear' | 'relu' | 'relu6';

/** What a network says about one use of a layer beside the layer itself. */
export interface LayerUse {
  activation: NetActivation;
  /** Added before the activation; shape of the output. */
  residual: Tensor4D | undefined;
  /** The result goes from block to block and is kept on the grid that its readers round it to. */
  onGrid: boolean;
}

/** One layer with its epilogue: `activation(convolution(x) + bias + residual)`. */
export type LayerConvolution = (x: Tensor4D, layer: LayerSpec, use: LayerUse) => Tensor4D;

/** What {@link Architecture.forward} computes with. */
export interface NetworkParameters {
  layers: ReadonlyMap<string, LayerParameters>;
  /** Mantissa bits of the activations that quantized filters read, or null for float activations. */
  activationBits: number | null;
  /** Stands in for the convolutions of `layers`, which may then lack all but `norm` layers: what training does. */
  convolve?: LayerConvolution;
}

/** What identifies an architecture in a file: its name and the sizes that are free. */
export interface ArchitectureConfig {
  /** Such as 'resnet20', 'resnet50' or 'mobilenet_v1_0.75'. */
  name: string;
  /** Side of the square input picture in pixels. */
  inputSize?: number;
  /** Channels of the input picture. */
  channels?: number;
  classes?: number;
}

/** A network without its numbers. */
export interface Architecture extends Required<ArchitectureConfig> {
  /** Where the parameter names in `layers` come from: Keras (HWIO) or PyTorch (OIHW). */
  readonly framework: 'keras' | 'pytorch';
  readonly layers: readonly LayerSpec[];
  /** Beginnings of the names of published tensors that only training needs, such as auxiliary classifiers. */
  readonly trainingOnly?: readonly string[];
  /**
   * @param x float32 `[N, height, width, channels]`, preprocessed
   * @returns logits `[N, classes]`
   */
  forward(x: Tensor4D, parameters: NetworkParameters): Tensor2D;
}

/** Output channels of a layer. */
export function outChannels(layer: Pick<LayerSpec, 'kind' | 'shape'>): number {
  return layer.kind === 'depthwise' ? layer.shape[2] * layer.shape[3] : layer.shape[3];
}

/** Parameters as frameworks count them, before batch normalization is folded. */
export interface ParameterCount {
  /** Kernels, biases, γ and β: what PyTorch's `model.parameters()` holds and Keras calls trainable. */
  trainable: number;
  /** Running means and variances: PyTorch's buffers, Keras' non-trainable parameters. */
  statistics: number;
}

/** Counts the parameters of the float network an architecture describes. */
export function countParameters({ layers }: Pick<Architecture, 'layers'>): ParameterCount {
  let trainable = 0;
  let statistics = 0;
  for (const layer of layers) {
    const channels = outChannels(layer);
    const { bias, norm } = layer.source;
    if (layer.kind !== 'norm') trainable += weightCount(layer) + (bias === null ? 0 : channels);
    if (norm !== null) {
      trainable += 2 * channels;
      statistics += 2 * channels;
    }
  }
  return { trainable, statistics };
}

/** Weights of a layer's filter; scales of a `norm` layer. */
export function weightCount(layer: Pick<LayerSpec, 'shape'>): number {
  return layer.shape[0] * layer.shape[1] * layer.shape[2] * layer.shape[3];
}
