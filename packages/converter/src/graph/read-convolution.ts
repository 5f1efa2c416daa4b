/** Convolutions and matrix products of a graph, as {@link Convolution}s; or the reason why one is not. */
import type { Activation } from '@dsconv/core';
import { AttributeReader } from './attributes.js';
import { applyAffine, type Convolution, outChannelsOf } from './convolution.js';
import type { Graph, GraphNode } from './graph.js';
import { NodeError } from './node-error.js';
import { ATTRIBUTES, CONVOLUTION_OPS } from './runtime/names.js';

const CONVOLUTIONS = [
  'Conv2D',
  '_FusedConv2D',
  'DepthwiseConv2dNative',
  'DepthwiseConv2d',
  'FusedDepthwiseConv2dNative',
  // With a float filter, as ONNX's convolutions in groups are read.
  CONVOLUTION_OPS.conv2d,
];
const PRODUCTS = ['MatMul', '_FusedMatMul'];

/** Activations of fused operators, in lower case as TensorFlow.js compares them. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  relu: 'relu',
  relu6: 'relu6',
  leakyrelu: 'leakyrelu',
  prelu: 'prelu',
};

/** Activations that DSConv has not and that are operators of their own. */
const SEPARATE: Readonly<Record<string, string>> = { elu: 'Elu', sigmoid: 'Sigmoid', tanh: 'Tanh' };

/** A convolution, with the operator that must follow it where its activation is none of DSConv's. */
export interface FoundConvolution {
  convolution: Convolution;
  input: string;
  activationOp: string | null;
}

/** True for operators that may be convolutions. */
export function isConvolutionOp(op: string): boolean {
  return CONVOLUTIONS.includes(op) || PRODUCTS.includes(op);
}

/**
 * @returns the convolution, or a clause that says why the node stays as it is
 * @throws NodeError when the node is malformed: too few inputs, a filter of another rank, wrong numbers of strides
 */
export function readConvolution(graph: Graph, node: GraphNode): FoundConvolution | string {
  const [input, filterInput] = node.inputs;
  if (input === undefined || filterInput === undefined) {
    throw new NodeError(graph.file, node, `has ${node.inputs.length} inputs; expected at least 2`);
  }
  const attributes = new AttributeReader(node, graph.file);
  if (attributes.number(ATTRIBUTES.bits, 0) !== 0) return 'it is quantized already';
  if (attributes.boolean(ATTRIBUTES.hasBias, false)) return 'it has a bias of its own';
  const weight = graph.constant(filterInput);
  const weights = graph.values(filterInput);
  if (!weight || !weights) return 'its weights are computed';
  if (weight.dtype !== 'float32') return 'its weights are integers';
  if (graph.constant(input)) return 'its input is a constant';
  const isDense = PRODUCTS.includes(node.op);
  const found = isDense
    ? readProduct(graph, node, attributes, weight.shape, weights)
    : readGeometry(graph, node, attributes, weight.shape, weights);
  if (typeof found === 'string') return found;
  const convolution: Convolution = {
    ...found,
    bias: null,
    activation: 'linear',
    leakyreluAlpha: 0.2,
    slopes: null,
    statistics: null,
    folded: [node.name],
    isDense,
  };
  const fused = readFused(graph, node, attributes, convolution);
  return typeof fused === 'string' ? fused : { convolution, input, activationOp: fused.activationOp };
}

type Geometry = Pick<Convolution, 'kind' | 'shape' | 'weights' | 'strides' | 'dilations' | 'pad' | 'groups'>;

function readProduct(
  graph: Graph,
  node: GraphNode,
  attributes: AttributeReader,
  shape: readonly number[],
  weights: Float32Array,
): Geometry | string {
  if (shape.length !== 2) {
    throw new NodeError(graph.file, node, `has weights of shape [${shape}]; expected a matrix`);
  }
  if (attributes.boolean('transpose_a', false)) return 'its input is transposed';
  const transposed = attributes.boolean('transpose_b', false);
  const [rows, columns] = shape as [number, number];
  const [depth, outputs] = transposed ? [columns, rows] : [rows, columns];
  let matrix = weights;
  if (transposed) {
    matrix = new Float32Array(weights.length);
    for (let o = 0; o < outputs; o++) {
      for (let i = 0; i < depth; i++) matrix[i * outputs + o] = weights[o * depth + i]!;
    }
  }
  return {
    kind: 'conv2d',
    shape: [1, 1, depth, outputs],
    weights: matrix,
    strides: [1, 1],
    dilations: [1, 1],
    pad: 'valid',
    groups: 1,
  };
}

function readGeometry(
  graph: Graph,
  node: GraphNode,
  attributes: AttributeReader,
  shape: readonly number[],
  weights: Float32Array,
): Geometry | string {
  if (shape.length !== 4 || shape.includes(0)) {
    throw new NodeError(graph.file, node, `has a filter of shape [${shape}]; expected four dimensions`);
  }
  const format = attributes.string('data_format', 'NHWC');
  if (format.toUpperCase() !== 'NHWC') return `its data format is ${format}`;
  const pair = (name: string): [number, number] => {
    const all = attributes.integers(name);
    const list = all.length === 0 ? [1, 1, 1, 1] : all;
    const [batch, vertical, horizontal, channel] = list.length === 2 ? [1, ...list, 1] : list;
    if (batch !== 1 || channel !== 1 || !(vertical! > 0) || !(horizontal! > 0)) {
      throw new NodeError(graph.file, node, `has ${name} [${all}]; expected [1, vertical, horizontal, 1]`);
    }
    return [vertical!, horizontal!];
  };
  const pad = readPad(graph, node, attributes);
  return {
    kind: node.op.includes('epthwise') ? 'depthwise' : 'conv2d',
    shape: [...shape] as Convolution['shape'],
    weights,
    strides: pair('strides'),
    dilations: pair('dilations'),
    pad,
    groups: attributes.number('groups', 1),
  };
}

function readPad(graph: Graph, node: GraphNode, attributes: AttributeReader): Convolution['pad'] {
  const padding = attributes.string('padding', 'VALID').toUpperCase();
  if (padding === 'SAME') return 'same';
  if (padding === 'VALID') return 'valid';
  const given = attributes.integers('explicit_paddings');
  const all = node.op === CONVOLUTION_OPS.conv2d ? [0, 0, ...given, 0, 0] : given;
  if (padding !== 'EXPLICIT' || all.length !== 8 || all.some((n) => n < 0)) {
    throw new NodeError(
      graph.file,
      node,
      `has padding ${padding} of [${all}]; expected SAME, VALID, or EXPLICIT of eight numbers`,
    );
  }
  return { top: all[2]!, bottom: all[3]!, left: all[4]!, right: all[5]! };
}

/** What `_Fused…` operators do after the product: their further inputs are the arguments, in order. */
function readFused(
  graph: Graph,
  node: GraphNode,
  attributes: AttributeReader,
  convolution: Convolution,
): { activationOp: string | null } | string {
  const steps = attributes.strings('fused_ops');
  const channels = outChannelsOf(convolution);
  let next = 2;
  let activationOp: string | null = null;
  for (const step of steps) {
    const lower = step.toLowerCase();
    if (lower === 'biasadd') {
      const bias = graph.values(node.inputs[next++]);
      if (bias?.length !== channels) return 'its fused bias is computed';
      applyAffine(convolution, null, bias);
    } else if (lower in ACTIVATIONS) {
      convolution.activation = ACTIVATIONS[lower]!;
      if (lower === 'leakyrelu') convolution.leakyreluAlpha = attributes.number('leakyrelu_alpha', 0.2);
      if (lower === 'prelu') {
        const slopes = graph.values(node.inputs[next++]);
        if (slopes?.length !== channels) return 'its fused slopes are not one per channel';
        convolution.slopes = slopes;
      }
    } else if (lower in SEPARATE) {
      activationOp = SEPARATE[lower]!;
    } else {
      return `it is fused with ${step}`;
    }
  }
  return { activationOp };
}
