import { ACTIVATIONS, type Activation, type DSConvAttributes } from '../contract.js';
import { TraceError, type TraceNode, type TraceTensor } from '../trace.js';
import { type Lowering, type LoweringContext, made } from './lowering.js';
import { type ConvAttributes, geometryOf, type PoolAttributes, poolGeometry } from './stock-geometry.js';

/** `DSConv2D` and `DSDepthwiseConv2D`: their attributes are resolved already. */
export const lowerDSConv: Lowering = (node, context) => {
  const attributes = node.attributes as unknown as DSConvAttributes;
  const { x, residual } = node.inputs;
  const depthwise = attributes.filter.kind === 'depthwise';
  return {
    op: 'convolution',
    input: context.resolve(x!),
    geometry: attributes.geometry,
    filter: attributes.filter,
    depthwise,
    multiplier: depthwise ? attributes.filter.shape[3] : 0,
    bias: parameter(node, 'bias', context),
    residual: residual ? context.resolve(residual) : null,
    activation: attributes.activation,
    leakyreluAlpha: attributes.leakyreluAlpha,
    slopes: parameter(node, 'preluActivationWeights', context),
    activationBits: attributes.activationBits,
    outputFormat: attributes.outputFormat,
    ...made(node),
  };
};

/** Float convolutions of TensorFlow.js with constant weights. */
export function lowerConvolution(depthwise: boolean): Lowering {
  return (node, context) => {
    const { x, filter } = node.inputs;
    const attributes = node.attributes as unknown as ConvAttributes;
    if ((attributes.dataFormat ?? 'NHWC') !== 'NHWC') {
      throw new TraceError(
        `operation ${node.kernel} with data format ${attributes.dataFormat} is not known to plans`,
      );
    }
    const weights = context.constant(filter);
    if (!weights)
      throw new TraceError(`operation ${node.kernel} with a computed filter is not known to plans`);
    const geometry = geometryOf(x!, filter!, attributes, depthwise);
    return {
      op: 'convolution',
      input: context.resolve(x!),
      geometry,
      filter: weights,
      depthwise,
      multiplier: depthwise ? filter!.shape[3]! : 0,
      bias: parameter(node, 'bias', context, geometry.outChannels),
      residual: null,
      activation: activationOf(node),
      leakyreluAlpha: attributes.leakyreluAlpha ?? 0.2,
      slopes: parameter(node, 'preluActivationWeights', context, geometry.outChannels),
      activationBits: null,
      outputFormat: null,
      ...made(node),
    };
  };
}

export function lowerPool(kind: 'max' | 'avg'): Lowering {
  return (node, { resolve }) => {
    const { x } = node.inputs;
    const geometry = poolGeometry(x!, node.attributes as unknown as PoolAttributes);
    return { op: 'pool', kind, input: resolve(x!), geometry, ...made(node) };
  };
}

/** A fused activation by name. */
export function activationOf(node: TraceNode): Activation {
  const activation = (node.attributes.activation as string | undefined) ?? 'linear';
  if (!ACTIVATIONS.includes(activation as Activation)) {
    throw new TraceError(`operation ${node.kernel} with activation ${activation} is not known to plans`);
  }
  return activation as Activation;
}

/** A constant input such as the bias, null when absent. */
export function parameter(
  node: TraceNode,
  name: string,
  context: LoweringContext,
  length?: number,
): Float32Array | null {
  const tensor: TraceTensor | undefined = node.inputs[name];
  if (!tensor) return null;
  const values = context.constant(tensor);
  if (!values || (length !== undefined && values.length !== length)) {
    throw new TraceError(
      `operation ${node.kernel} with a ${name} that is computed or not one per channel is not known to plans`,
    );
  }
  return values;
}
