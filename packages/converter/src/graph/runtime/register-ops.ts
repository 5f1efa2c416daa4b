import { ACTIVATIONS, type Activation, InvalidArgumentError } from '@dsconv/core';
import { type GraphNode, registerOp } from '@tensorflow/tfjs-converter';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { type ConvolveArguments, convolve } from './convolve.js';
import { ATTRIBUTES, CONVOLUTION_OPS } from './names.js';
import { storedFilter } from './stored-filters.js';

/**
 * Makes the operators `DSConv2D` and `DSDepthwiseConv2D` known to `tf.loadGraphModel`. Call it once before loading a converted model; more often
 * does no harm. The model then runs on every backend that a DSConv package registered.
 */
export function registerDSConvOps(): void {
  registerOp(CONVOLUTION_OPS.conv2d, (node) => execute(node, false));
  registerOp(CONVOLUTION_OPS.depthwise, (node) => execute(node, true));
}

function execute(node: GraphNode, depthwise: boolean): Tensor {
  const attrs = node.attrs as Readonly<Record<string, unknown>>;
  const [x, weight, ...rest] = node.inputs as [Tensor, Tensor, ...Tensor[]];
  const bits = attrs[ATTRIBUTES.bits] as number;
  const activationBits = attrs[ATTRIBUTES.activationBits] as number;
  const options: ConvolveArguments = {
    depthwise,
    strides: attrs[ATTRIBUTES.strides] as [number, number],
    dilations: attrs[ATTRIBUTES.dilations] as [number, number],
    pad: padOf(attrs),
    groups: attrs[ATTRIBUTES.groups] as number,
    activation: activationOf(attrs),
    leakyreluAlpha: attrs[ATTRIBUTES.leakyreluAlpha] as number,
    activationBits: activationBits === 0 ? null : activationBits,
    bias: attrs[ATTRIBUTES.hasBias] ? rest.shift() : undefined,
    preluActivationWeights: attrs[ATTRIBUTES.hasSlopes] ? rest.shift() : undefined,
  };
  if (bits === 0) return convolve(x, weight as Tensor4D, options);
  const filter = storedFilter(weight, {
    kind: depthwise ? 'depthwise' : 'conv2d',
    shape: attrs[ATTRIBUTES.filterShape] as [number, number, number, number],
    bits,
    blockSize: attrs[ATTRIBUTES.blockSize] as number,
  });
  return convolve(x, filter, options);
}

/** TensorFlow.js hands strings over in lower case. */
function padOf(attrs: Readonly<Record<string, unknown>>): ConvolveArguments['pad'] {
  const padding = attrs[ATTRIBUTES.padding];
  if (padding === 'same' || padding === 'valid') return padding;
  const [top, bottom, left, right] = attrs[ATTRIBUTES.explicitPaddings] as [number, number, number, number];
  return [
    [top, bottom],
    [left, right],
  ];
}

function activationOf(attrs: Readonly<Record<string, unknown>>): Activation {
  const activation = attrs[ATTRIBUTES.activation] as Activation;
  if (ACTIVATIONS.includes(activation)) return activation;
  throw new InvalidArgumentError(
    `activation is '${String(activation)}'; expected one of ${ACTIVATIONS.join(', ')}`,
  );
}
