/** A float network as calibration and bias correction see it, wherever it was read from. */
import { type DSConvFilter, type FilterKind, InvalidArgumentError } from '@dsconv/core';
import type { Architecture, LayerSpec, LayerWeights } from '@dsconv/models';
import type { LayerPlan } from '../quantize-network.js';
import { captureStructure, type NetworkStructure } from './structure.js';

/** One convolution, everything folded. */
export interface FloatLayer {
  name: string;
  kind: FilterKind;
  /** `[kh, kw, I, O]`, or `[kh, kw, C, multiplier]`. */
  shape: readonly [number, number, number, number];
  /** float32 in the order of `shape`. */
  weights: Float32Array;
  /** One value per output channel, or null. */
  bias: Float32Array | null;
  /** Of its outputs before residual and activation, where a batch normalization told them. */
  statistics?: LayerWeights['statistics'] | null | undefined;
  /** What it shall become. */
  plan: LayerPlan;
}

/** What calibration made of a layer. */
export interface FoundLayer {
  filter: DSConvFilter;
  bias: Float32Array | null;
  /** Of the weights, dB; null where nothing was lost. */
  snrDb: number | null;
}

export interface FloatNetwork {
  /** Of one picture, without the batch. */
  inputShape: readonly number[];
  dtype: 'float32' | 'int32';
  /** Whether several pictures can be run at a time. */
  anyBatch: boolean;
  layers: ReadonlyMap<string, FloatLayer>;
  /** The network's kernel calls for a batch of pictures, its convolutions known by their names in `layers`. */
  record(batch: number): NetworkStructure | Promise<NetworkStructure>;
}

/** @throws InvalidArgumentError when a picture has another size than the network reads */
export function checkPicture(picture: Float32Array, index: number, inputShape: readonly number[]): void {
  const length = inputShape.reduce((product, d) => product * d, 1);
  if (picture.length === length) return;
  throw new InvalidArgumentError(
    `picture ${index} has ${picture.length} values; expected ${length} for [${inputShape}]`,
  );
}

/** Output channels of a layer. */
export function outputsOf({ kind, shape }: Pick<FloatLayer, 'kind' | 'shape'>): number {
  return kind === 'depthwise' ? shape[2] * shape[3] : shape[3];
}

/** A network of the zoo; its normalizations that are layers of their own stay float. */
export function zooNetwork(
  network: { architecture: Architecture; weights: ReadonlyMap<string, LayerWeights> },
  plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
  activationBits: number | null,
): FloatNetwork {
  const { architecture, weights } = network;
  const { inputSize, channels } = architecture;
  const convolutions = plans.filter(({ layer }) => layer.kind !== 'norm');
  const formats = new Map(convolutions.map(({ layer, plan }) => [layer.name, plan]));
  const layers = convolutions.map(({ layer, plan }): [string, FloatLayer] => {
    const { filter, bias, statistics } = weights.get(layer.name)!;
    const kind = layer.kind === 'depthwise' ? 'depthwise' : 'conv2d';
    const { name, shape } = layer;
    return [name, { name, kind, shape, weights: filter as Float32Array, bias, statistics, plan }];
  });
  return {
    inputShape: [inputSize, inputSize, channels],
    dtype: 'float32',
    anyBatch: true,
    layers: new Map(layers),
    record: (batch) => captureStructure(architecture, weights, formats, activationBits, batch),
  };
}
