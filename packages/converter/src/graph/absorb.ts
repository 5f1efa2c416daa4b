/** What may follow a convolution and become a part of it: biases, scales, batch normalization, activations. */
import { AttributeReader } from './attributes.js';
import { applyAffine, applyBatchNorm, type Convolution, outChannelsOf } from './convolution.js';
import type { Graph, GraphNode } from './graph.js';
import { elementCount, weightValues } from './stored-weights.js';

/** What became of the convolution's output so far. Bounds that no activation has may become one with the next node. */
export interface Bounds {
  low: number;
  high: number;
}

/**
 * Takes one node into the convolution.
 *
 * @param from name of the node that is the convolution's output so far
 * @returns false when the node is none that can be taken
 */
export function absorb(
  graph: Graph,
  convolution: Convolution,
  bounds: Bounds,
  node: GraphNode,
  from: string,
): boolean {
  if (node.op === 'Identity') return true;
  const isLinear =
    convolution.activation === 'linear' && bounds.low === -Infinity && bounds.high === Infinity;
  switch (node.op) {
    case 'BiasAdd':
    case 'Add':
    case 'AddV2':
    case 'Sub':
    case 'Mul':
    case 'RealDiv':
    case 'Div':
      return isLinear && absorbArithmetic(graph, convolution, node, from);
    case 'FusedBatchNorm':
    case 'FusedBatchNormV2':
    case 'FusedBatchNormV3':
      return isLinear && absorbBatchNorm(graph, convolution, node);
    case 'Prelu':
      return isLinear && absorbPrelu(graph, convolution, node);
    case 'LeakyRelu':
      if (!isLinear) return false;
      convolution.activation = 'leakyrelu';
      convolution.leakyreluAlpha = new AttributeReader(node, graph.file).number('alpha', 0.2);
      return true;
    default:
      return (
        ['linear', 'relu', 'relu6'].includes(convolution.activation) &&
        absorbBounds(graph, bounds, node, from)
      );
  }
}

/** The values of a constant that is the same for every pixel, one per channel; null for any other. */
function perChannel(graph: Graph, input: string | undefined, channels: number): Float32Array | null {
  const weight = graph.constant(input);
  if (!weight || (weight.dtype !== 'float32' && weight.dtype !== 'int32')) return null;
  const count = elementCount(weight.shape);
  const fits = count === 1 || (count === channels && weight.shape.at(-1) === channels);
  // A shape of more dimensions than the output has would widen it.
  if (!fits || weight.shape.length > 4) return null;
  const values = weightValues(weight)!;
  return count === channels ? values : new Float32Array(channels).fill(values[0]!);
}

function absorbArithmetic(graph: Graph, convolution: Convolution, node: GraphNode, from: string): boolean {
  const [a, b] = node.inputs;
  if (node.inputs.length !== 2) return false;
  const isLeft = a === from || a === `${from}:0`;
  const values = perChannel(graph, isLeft ? b : a, outChannelsOf(convolution));
  if (!values) return false;
  // A dense layer's output has two dimensions; a constant of more would give it more.
  if (convolution.isDense && graph.constant(isLeft ? b : a)!.shape.length > 2) return false;
  switch (node.op) {
    case 'Mul':
      applyAffine(convolution, values, null);
      return true;
    case 'RealDiv':
    case 'Div':
      if (!isLeft || values.includes(0)) return false;
      applyAffine(
        convolution,
        values.map((value) => 1 / value),
        null,
      );
      return true;
    case 'Sub':
      if (!isLeft) applyAffine(convolution, new Float32Array(values.length).fill(-1), values);
      else
        applyAffine(
          convolution,
          null,
          values.map((value) => -value),
        );
      return true;
    default:
      applyAffine(convolution, null, values);
      return true;
  }
}

function absorbBatchNorm(graph: Graph, convolution: Convolution, node: GraphNode): boolean {
  const attributes = new AttributeReader(node, graph.file);
  if (attributes.boolean('is_training', false)) return false;
  const channels = outChannelsOf(convolution);
  const [gamma, beta, mean, variance] = node.inputs.slice(1, 5).map((input) => graph.values(input));
  for (const values of [gamma, beta, mean, variance]) if (values?.length !== channels) return false;
  const epsilon = attributes.number('epsilon', 0.001);
  return applyBatchNorm(convolution, {
    gamma: gamma!,
    beta: beta!,
    mean: mean!,
    variance: variance!,
    epsilon,
  });
}

function absorbPrelu(graph: Graph, convolution: Convolution, node: GraphNode): boolean {
  const slopes = perChannel(graph, node.inputs[1], outChannelsOf(convolution));
  if (!slopes) return false;
  convolution.activation = 'prelu';
  convolution.slopes = slopes;
  return true;
}

function absorbBounds(graph: Graph, bounds: Bounds, node: GraphNode, from: string): boolean {
  const [a, b] = node.inputs;
  const other = a === from || a === `${from}:0` ? b : a;
  let low = -Infinity;
  let high = Infinity;
  if (node.op === 'Relu') low = 0;
  else if (node.op === 'Relu6') [low, high] = [0, 6];
  else if (node.op === 'Minimum') high = graph.scalar(other) ?? Number.NaN;
  else if (node.op === 'Maximum') low = graph.scalar(other) ?? Number.NaN;
  else if (node.op === 'ClipByValue') {
    [low, high] = [1, 2].map((n) => graph.scalar(node.inputs[n]) ?? Number.NaN) as [number, number];
  } else return false;
  if (Number.isNaN(low) || Number.isNaN(high)) return false;
  // Clipping a clipped value clips it to both, as long as the bounds do not cross.
  bounds.low = Math.max(bounds.low, low);
  bounds.high = Math.min(bounds.high, high);
  return bounds.low <= bounds.high;
}
