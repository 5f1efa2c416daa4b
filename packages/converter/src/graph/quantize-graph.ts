/** From a folded graph to one that TensorFlow.js loads: every convolution becomes a node `DSConv2D` or `DSDepthwiseConv2D`. */
import { type DSConvFilter, quantizeDepthwiseFilter, quantizeFilter } from '@dsconv/core';
import { signalToNoise } from '../signal-to-noise.js';
import {
  type Attributes,
  boolAttribute,
  floatAttribute,
  intAttribute,
  intsAttribute,
  stringAttribute,
  typeAttribute,
} from './attributes.js';
import type { Convolution } from './convolution.js';
import type { FoldedGraph } from './fold-graph.js';
import type { Graph } from './graph.js';
import { type ConvolutionPlan, planConvolutions, type QuantizeOptions } from './plan-convolutions.js';
import { filterToBytes } from './runtime/filter-bytes.js';
import { ATTRIBUTES, CONVOLUTION_OPS } from './runtime/names.js';
import { floatWeight, stringWeight } from './stored-weights.js';

/** What became of one convolution. */
export interface ConvolutionReport {
  /** Name of the node. */
  name: string;
  kind: 'conv2d' | 'depthwise' | 'dense';
  shape: readonly number[];
  /** Nodes of the original that it stands for. */
  folded: readonly string[];
  bits: number;
  blockSize: number;
  perChannel: boolean;
  /** Bytes of the float32 weights, and of the packed integers and scales. */
  bytesBefore: number;
  bytesAfter: number;
  /** Of the weights, dB; null where nothing was lost. */
  snrDb: number | null;
}

export interface QuantizedGraph {
  graph: Graph;
  layers: ConvolutionReport[];
  /** The filters of the convolutions, by name. */
  filters: Map<string, DSConvFilter>;
}

/**
 * Quantizes every convolution. The event loop gets a turn between them.
 *
 * @returns a new graph; the folded one is not changed
 * @throws InvalidArgumentError when an option is out of range or names no convolution
 * @throws NotFiniteError naming the node and the index of a NaN or infinite weight
 */
export async function quantizeGraph(
  { graph, convolutions }: FoldedGraph,
  options: QuantizeOptions,
): Promise<QuantizedGraph> {
  const { activationBits = 8 } = options;
  const plans = planConvolutions({ graph, convolutions }, options);
  const quantized = graph.copy();
  const layers: ConvolutionReport[] = [];
  const filters = new Map<string, DSConvFilter>();
  for (const [name, convolution] of convolutions) {
    options.onProgress?.({ done: layers.length, total: convolutions.size, layer: name });
    await new Promise<void>((resolve) => setImmediate(resolve));
    const plan = plans.get(name)!;
    const filter = quantize(name, convolution, plan, options);
    filters.set(name, filter);
    const weight = quantized.addConstant(stringWeight(`${name}/filter`, filterToBytes(filter)));
    place(quantized, name, convolution, weight, { ...plan, activationBits });
    layers.push(describe(name, convolution, plan, filter));
  }
  options.onProgress?.({ done: layers.length, total: convolutions.size, layer: null });
  return { graph: quantized, layers, filters };
}

/** A quantized graph with float activations: what its integers and scales alone say. */
export function withFloatActivations(graph: Graph): Graph {
  const float = graph.copy();
  for (const node of graph.nodes.values()) {
    if (!Object.hasOwn(node.attr, ATTRIBUTES.activationBits)) continue;
    const attr = { ...node.attr, [ATTRIBUTES.activationBits]: intAttribute(0) };
    float.nodes.set(node.name, { ...node, attr });
  }
  return float;
}

/**
 * The same graph with float filters.
 *
 * @param filters whose values to take; without them the convolutions' own, so that the graph is what folding alone makes of it
 */
export function floatGraph(
  { graph, convolutions }: Pick<FoldedGraph, 'graph' | 'convolutions'>,
  filters?: ReadonlyMap<string, DSConvFilter>,
): Graph {
  const float = graph.copy();
  for (const [name, convolution] of convolutions) {
    const { shape } = convolution;
    const weights = filters?.get(name)?.dequantize() ?? convolution.weights;
    const weight = float.addConstant(floatWeight(`${name}/filter`, shape, weights));
    place(float, name, convolution, weight, { bits: 0, blockSize: 1, activationBits: null });
  }
  return float;
}

function quantize(
  name: string,
  { kind, shape, weights }: Convolution,
  { bits, blockSize, perChannel }: ConvolutionPlan,
  { scales = 'float16', method = 'search' }: QuantizeOptions,
): DSConvFilter {
  const common = { bits, blockSize, scales, method, name };
  return kind === 'depthwise'
    ? quantizeDepthwiseFilter(weights, shape, common)
    : quantizeFilter(weights, shape, { ...common, perChannel });
}

function place(
  graph: Graph,
  name: string,
  convolution: Convolution & { input: string },
  filter: string,
  { bits, blockSize, activationBits }: { bits: number; blockSize: number; activationBits: number | null },
): void {
  const { kind, shape, bias, slopes, strides, dilations, pad, groups, activation, leakyreluAlpha } =
    convolution;
  const inputs = [convolution.input, filter];
  const vector = (part: string, values: Float32Array | null): void => {
    if (values) inputs.push(graph.addConstant(floatWeight(`${name}/${part}`, [values.length], values)));
  };
  vector('bias', bias);
  vector('slopes', slopes);
  const explicit = typeof pad === 'string' ? [] : [pad.top, pad.bottom, pad.left, pad.right];
  const attr: Attributes = {
    T: typeAttribute('DT_FLOAT'),
    [ATTRIBUTES.filterShape]: intsAttribute(shape),
    [ATTRIBUTES.bits]: intAttribute(bits),
    [ATTRIBUTES.blockSize]: intAttribute(blockSize),
    [ATTRIBUTES.activationBits]: intAttribute(activationBits ?? 0),
    [ATTRIBUTES.strides]: intsAttribute(strides),
    [ATTRIBUTES.dilations]: intsAttribute(dilations),
    [ATTRIBUTES.padding]: stringAttribute(typeof pad === 'string' ? pad.toUpperCase() : 'EXPLICIT'),
    [ATTRIBUTES.explicitPaddings]: intsAttribute(explicit),
    [ATTRIBUTES.groups]: intAttribute(groups),
    [ATTRIBUTES.activation]: stringAttribute(activation),
    [ATTRIBUTES.leakyreluAlpha]: floatAttribute(leakyreluAlpha),
    [ATTRIBUTES.hasBias]: boolAttribute(bias !== null),
    [ATTRIBUTES.hasSlopes]: boolAttribute(slopes !== null),
  };
  graph.nodes.set(name, { name, op: CONVOLUTION_OPS[kind], inputs, attr });
}

function describe(
  name: string,
  { kind, shape, weights, folded, isDense }: Convolution,
  plan: ConvolutionPlan,
  filter: DSConvFilter,
): ConvolutionReport {
  return {
    name,
    kind: isDense ? 'dense' : kind,
    shape,
    folded,
    bits: plan.bits,
    blockSize: plan.blockSize,
    perChannel: plan.perChannel,
    bytesBefore: weights.byteLength,
    bytesAfter: filter.byteLength,
    snrDb: signalToNoise(weights, filter.dequantize()),
  };
}
