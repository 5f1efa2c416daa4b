/** The court of NUMERICS §5 for a layer and its frozen form: both against the float64 reference of the frozen filter, element by element. */
import type { FrozenLayer } from '@dsconv/converter/runtime-layers';
import {
  type Activation,
  type ConvGeometry,
  type Padding,
  type ReferenceResult,
  referenceDSConv2d,
  resolveGeometry,
  roundToBfp,
} from '@dsconv/core';
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { expect } from 'vitest';

export interface Court {
  /** Outputs of the trained layer and what follows it, which add products of floats. */
  trained(values: Float32Array, what: string): void;
  /** Outputs of the frozen layer. */
  frozen(values: Float32Array, what: string): void;
}

interface FrozenSettings {
  padding: 'same' | 'valid' | 'explicit';
  explicitPaddings: [number, number, number, number];
  strides: [number, number];
  dilations: [number, number];
  groups: number;
  activation: Activation;
  activationBits: number;
  outerActivation: string | null;
}

/**
 * @param x what the layer reads
 * @param trained the model that `made` was frozen from
 */
export function judge(x: tf.Tensor4D, made: FrozenLayer, trained: tfl.LayersModel): Court {
  const settings = made.getConfig() as unknown as FrozenSettings;
  const filter = made.filter()!;
  const bias = weightOf(made, 'bias');
  const geometry = geometryOf(x, made, settings);
  const inputs = { x: x.dataSync() as Float32Array, ...(bias ? { bias } : {}) };
  const activationBits = settings.activationBits || null;
  const { activation } = settings;
  const integers = referenceDSConv2d(inputs, filter, { geometry, activationBits, activation });
  const groups = filter.kind === 'depthwise' ? 1 : settings.groups;
  const rounded = activationBits
    ? roundToBfp(inputs.x, x.shape[3], { bits: activationBits, blockSize: filter.blockSize, groups })
    : inputs.x;
  const products = referenceDSConv2d({ ...inputs, x: rounded }, filter, {
    geometry,
    activationBits: null,
    activation,
  });
  const added = addedBehind(trained, made.name, filter.outChannels);
  const outer = (value: number): number =>
    settings.outerActivation === 'sigmoid' ? 1 / (1 + Math.exp(-value)) : value;
  // The slope of SiLU is at most 1.1; exponentials have errors of their own, relative to the result.
  const [slope, own] = activation === 'silu' ? [1.1, 2 ** -21] : [1, settings.outerActivation ? 2 ** -21 : 0];
  const hold = (values: Float32Array, { magnitude, terms }: ReferenceResult, more: number, what: string) => {
    expect(values.length).toBe(integers.output.length);
    values.forEach((value, n) => {
      const expected = outer(integers.output[n]!);
      const sum = magnitude[n]! + more * added[n % added.length]!;
      const bound = slope * 4 * (terms[n]! + 3 * more) * 2 ** -24 * sum + own * Math.abs(expected);
      if (!(Math.abs(value - expected) <= bound)) {
        expect.fail(`output ${n} of ${what} is ${value}; expected ${expected} within ${bound}`);
      }
    });
  };
  return {
    // A bias and a normalization that are not folded are terms of their own.
    trained: (values, what) => hold(values, products, 1, what),
    frozen: (values, what) => hold(values, integers, 0, what),
  };
}

function geometryOf(x: tf.Tensor4D, made: FrozenLayer, settings: FrozenSettings): ConvGeometry {
  const { padding, explicitPaddings, strides, dilations, groups } = settings;
  const [top, bottom, left, right] = explicitPaddings;
  const filter = made.filter()!;
  const pad: Padding =
    padding === 'explicit'
      ? [
          [top, bottom],
          [left, right],
        ]
      : padding;
  return resolveGeometry({
    inputShape: x.shape,
    kernelSize: [filter.shape[0], filter.shape[1]],
    outChannels: filter.outChannels,
    strides,
    dilations,
    pad,
    groups,
  });
}

function weightOf(layer: tfl.layers.Layer, name: string): Float32Array | null {
  const found = layer.weights.find(({ originalName }) => originalName.split('/').at(-1) === name);
  return found ? Float32Array.from(found.read().dataSync()) : null;
}

/**
 * `Σ|terms|` of what a trained layer adds beside its products, from its bias to the last normalization that the frozen one took in: those terms
 * cancel in part in the frozen layer's bias.
 */
function addedBehind(trained: tfl.LayersModel, end: string, channels: number): Float64Array {
  const line: tfl.layers.Layer[] = [];
  for (let layer = trained.getLayer(end); line[0] === undefined || !('trainedConvolution' in line[0]); ) {
    line.unshift(layer);
    layer = (layer.inboundNodes[0]!.inputTensors as tfl.SymbolicTensor[])[0]!.sourceLayer;
  }
  let sums = Float64Array.from({ length: channels }, (_, o) =>
    Math.abs(weightOf(line[0]!, 'bias')?.[o] ?? 0),
  );
  for (const layer of line) {
    const [mean, variance] = [weightOf(layer, 'moving_mean'), weightOf(layer, 'moving_variance')];
    if (!mean || !variance) continue;
    const [gamma, beta] = [weightOf(layer, 'gamma'), weightOf(layer, 'beta')];
    const { epsilon = 1e-5 } = layer.getConfig() as { epsilon?: number };
    sums = sums.map((sum, o) => {
      const factor = Math.abs(gamma?.[o] ?? 1) / Math.sqrt(variance[o]! + epsilon);
      return (sum + Math.abs(mean[o]!)) * factor + Math.abs(beta?.[o] ?? 0);
    });
  }
  return sums;
}
