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
  const betas = betasBehind(trained, made.name, filter.outChannels);
  const outer = (value: number): number =>
    settings.outerActivation === 'sigmoid' ? 1 / (1 + Math.exp(-value)) : value;
  // The slope of SiLU is at most 1.1; exponentials have errors of their own, relative to the result.
  const [slope, own] = activation === 'silu' ? [1.1, 2 ** -21] : [1, settings.outerActivation ? 2 ** -21 : 0];
  const hold = (values: Float32Array, { magnitude, terms }: ReferenceResult, more: number, what: string) => {
    expect(values.length).toBe(integers.output.length);
    values.forEach((value, n) => {
      const expected = outer(integers.output[n]!);
      const sum = magnitude[n]! + more * 2 * betas[n % betas.length]!;
      const bound = slope * 4 * (terms[n]! + 3 * more) * 2 ** -24 * sum + own * Math.abs(expected);
      if (!(Math.abs(value - expected) <= bound)) {
        expect.fail(`output ${n} of ${what} is ${value}; expected ${expected} within ${bound}`);
      }
    });
  };
  return {
    // A normalization that is not folded adds its mean and β as terms of their own: |μ γ/σ| is at most |bias| + |β|.
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

/** Sums of |β| of all normalizations from the trained layer to the one that the frozen layer ends with. */
function betasBehind(trained: tfl.LayersModel, end: string, channels: number): Float32Array {
  const sums = new Float32Array(channels);
  for (let layer = trained.getLayer(end); ; ) {
    weightOf(layer, 'beta')?.forEach((beta, o) => {
      sums[o]! += Math.abs(beta);
    });
    if ('trainedConvolution' in layer) return sums;
    layer = (layer.inboundNodes[0]!.inputTensors as tfl.SymbolicTensor[])[0]!.sourceLayer;
  }
}
