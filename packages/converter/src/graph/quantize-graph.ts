/** From a folded graph to one that TensorFlow.js loads: every convolution becomes a node `DSConv2D` or `DSDepthwiseConv2D`. */
import type { DSConvFilter } from '@dsconv/core';
import type { JsonRecord } from '../json-values.js';
import type { AccuracyOptions, AccuracyReport } from './accuracy.js';
import {
  type Attributes,
  boolAttribute,
  floatAttribute,
  intAttribute,
  intsAttribute,
  stringAttribute,
  typeAttribute,
} from './attributes.js';
import { firstPicture } from './calibrate-convolutions.js';
import type { Convolution } from './convolution.js';
import type { ExampleOptions } from './example-inputs.js';
import type { FoldedGraph } from './fold-graph.js';
import type { Graph } from './graph.js';
import { type ConvolutionPlan, planConvolutions, type QuantizeOptions } from './plan-convolutions.js';
import type { ConvolutionReport } from './quantize-convolution.js';
import { type FoundConvolution, quantizeConvolutions } from './quantize-convolutions.js';
import { graphRecorder } from './record-graph.js';
import { filterToBytes } from './runtime/filter-bytes.js';
import { ATTRIBUTES, CONVOLUTION_OPS } from './runtime/names.js';
import { floatWeight, stringWeight } from './stored-weights.js';

export interface QuantizedGraph {
  graph: Graph;
  layers: ConvolutionReport[];
  /** The filters and biases of the convolutions, by name. */
  found: Map<string, FoundConvolution>;
  accuracy: AccuracyReport;
  /** What to compare on: the inputs given, or else the first picture. */
  inputs: ExampleOptions['inputs'];
}

/**
 * Quantizes every convolution. The event loop gets a turn between them.
 *
 * @param source the model.json
 * @returns a new graph; the folded one is not changed
 * @throws InvalidArgumentError when an option is out of range or names no convolution
 * @throws NotFiniteError naming the node and the index of a NaN or infinite weight
 */
export async function quantizeGraph(
  folded: FoldedGraph,
  source: JsonRecord,
  options: QuantizeOptions & AccuracyOptions & ExampleOptions,
): Promise<QuantizedGraph> {
  const { activationBits = 8 } = options;
  const plans = planConvolutions(folded, options);
  const recorder = graphRecorder(
    folded.graph,
    source,
    (filters) => assemble(folded, filters, null, plans, activationBits),
    options,
  );
  const { found, layers, accuracy } = await quantizeConvolutions(
    folded.convolutions,
    plans,
    options,
    recorder,
  );
  const filters = new Map([...found].map(([name, { filter }]) => [name, filter]));
  const { graph } = assemble(folded, filters, found, plans, activationBits);
  const { pictures, inputs = pictures && (await firstPicture(pictures, recorder.picture())) } = options;
  return { graph, layers, found, accuracy, inputs };
}

/** A graph with quantized convolutions, and the names of the weights that hold their filters. */
export interface AssembledGraph {
  graph: Graph;
  weights: Map<string, string>;
}

/** @param found whose biases to take; without them the convolutions' own */
function assemble(
  { graph, convolutions }: FoldedGraph,
  filters: ReadonlyMap<string, DSConvFilter>,
  found: ReadonlyMap<string, FoundConvolution> | null,
  plans: ReadonlyMap<string, ConvolutionPlan>,
  activationBits: number | null,
): AssembledGraph {
  const quantized = graph.copy();
  const weights = new Map<string, string>();
  for (const [name, convolution] of convolutions) {
    const filter = filters.get(name)!;
    const weight = quantized.addConstant(stringWeight(`${name}/filter`, filterToBytes(filter)));
    const bias = found ? found.get(name)!.bias : convolution.bias;
    place(quantized, name, { ...convolution, bias }, weight, { ...plans.get(name)!, activationBits });
    weights.set(name, weight);
  }
  return { graph: quantized, weights };
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
 * @param found whose values to take; without them the convolutions' own, so that the graph is what folding alone makes of it
 */
export function floatGraph(
  { graph, convolutions }: Pick<FoldedGraph, 'graph' | 'convolutions'>,
  found?: ReadonlyMap<string, FoundConvolution>,
): Graph {
  const float = graph.copy();
  for (const [name, convolution] of convolutions) {
    const { shape } = convolution;
    const { filter, bias } = found?.get(name) ?? { filter: null, bias: convolution.bias };
    const weights = filter?.dequantize() ?? convolution.weights;
    const weight = float.addConstant(floatWeight(`${name}/filter`, shape, weights));
    place(float, name, { ...convolution, bias }, weight, { bits: 0, blockSize: 1, activationBits: null });
  }
  return float;
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
