/** Finds the convolutions of a graph and takes into each what belongs to it. What is left is a graph of the same outputs with fewer nodes. */
import { absorb, type Bounds } from './absorb.js';
import { typeAttribute } from './attributes.js';
import type { Convolution } from './convolution.js';
import { type Graph, type GraphNode, parseReference, type Reference } from './graph.js';
import { isConvolutionOp, readConvolution } from './read-convolution.js';

/** Nodes that were left as they are although they look like convolutions, and why. */
export interface LeftNode {
  name: string;
  op: string;
  reason: string;
}

/** A graph whose convolutions are apart: `convolutions` by the name of the node that each replaces. */
export interface FoldedGraph {
  graph: Graph;
  /** In the order of execution. Weights and biases may be changed (calibrated) before they are quantized. */
  convolutions: Map<string, Convolution & { input: string }>;
  left: LeftNode[];
}

/** The operator of a convolution's place in a folded graph; it is written as `DSConv2D` or `DSDepthwiseConv2D`. */
export const FOLDED_OP = 'Convolution';

type Consumers = Map<string, { node: GraphNode; reference: Reference }[]>;

/**
 * Folds a graph in place. Every output keeps its name.
 *
 * @param dense also take products with a constant matrix, as convolutions of 1 × 1
 */
export function foldGraph(graph: Graph, { dense = true }: { dense?: boolean } = {}): FoldedGraph {
  const convolutions: FoldedGraph['convolutions'] = new Map();
  const left: LeftNode[] = [];
  const consumers = graph.consumers();
  const unread = new Set<string>();
  for (const node of graph.sorted()) {
    if (!isConvolutionOp(node.op) || !graph.nodes.has(node.name)) continue;
    const isDense = node.op.includes('MatMul');
    const found = isDense && !dense ? 'dense layers are not asked for' : readConvolution(graph, node);
    if (typeof found === 'string') {
      left.push({ name: node.name, op: node.op, reason: found });
      continue;
    }
    for (const input of node.inputs.slice(1)) unread.add(input);
    const { convolution, input, activationOp } = found;
    const tail = activationOp ? node.name : follow(graph, consumers, node, convolution, unread);
    replace(graph, convolution.folded, tail, input);
    const place = activationOp ? splitActivation(graph, tail, activationOp) : tail;
    convolutions.set(place, { ...convolution, input });
  }
  absorbPads(graph, convolutions, unread);
  graph.dropUnread([...unread].map((name) => name.replace(/:.*$/, '')));
  return { graph, convolutions, left };
}

/** The one node that reads this one, if it reads the first output and nothing else needs it. */
function soleConsumer(graph: Graph, consumers: Consumers, name: string): GraphNode | null {
  const list = consumers.get(name) ?? [];
  if (graph.outputs.has(name) || list.length !== 1) return null;
  const { node, reference } = list[0]!;
  return reference.output === 0 && !reference.isControl ? node : null;
}

/** Walks along the nodes after a convolution and takes them in. Returns the last node that it now stands for. */
function follow(
  graph: Graph,
  consumers: Consumers,
  start: GraphNode,
  convolution: Convolution,
  unread: Set<string>,
): string {
  const bounds: Bounds = { low: -Infinity, high: Infinity };
  const fused = convolution.activation;
  let settled = start.name;
  let pending: GraphNode[] = [];
  const settle = (nodes: readonly GraphNode[]): void => {
    for (const node of nodes) {
      convolution.folded.push(node.name);
      for (const input of node.inputs) unread.add(input);
    }
    settled = nodes.at(-1)!.name;
    pending = [];
  };
  if (fused === 'relu') bounds.low = 0;
  for (let at = start.name; ; ) {
    const product = convolution.activation === 'linear' ? siluProduct(graph, consumers, at) : null;
    if (product && boundActivation(bounds) === 'linear') {
      settle([...pending, ...product]);
      convolution.activation = 'silu';
      break;
    }
    const next = soleConsumer(graph, consumers, at);
    if (!next || !onlyFirstOutput(consumers, next) || !absorb(graph, convolution, bounds, next, at)) break;
    pending.push(next);
    at = next.name;
    // A lower bound without the upper one, or the other way round, is no activation yet, but may become one.
    const activation = boundActivation(bounds);
    if (activation === null) continue;
    settle(pending);
    if (activation !== 'linear') convolution.activation = activation;
  }
  return settled;
}

function boundActivation({ low, high }: Bounds): 'linear' | 'relu' | 'relu6' | null {
  if (high === Infinity) return low === -Infinity ? 'linear' : low === 0 ? 'relu' : null;
  return low === 0 && high === 6 ? 'relu6' : null;
}

function onlyFirstOutput(consumers: Consumers, { name }: GraphNode): boolean {
  return (consumers.get(name) ?? []).every(({ reference }) => reference.output === 0);
}

/** `x * sigmoid(x)`: the sigmoid and the product, where nothing else reads x or the sigmoid. */
function siluProduct(graph: Graph, consumers: Consumers, name: string): [GraphNode, GraphNode] | null {
  const list = consumers.get(name) ?? [];
  if (graph.outputs.has(name) || list.length !== 2) return null;
  const readers = list.map(({ node }) => node);
  const gate = readers.find(({ op }) => op === 'Sigmoid');
  const product = readers.find(({ op }) => op === 'Mul');
  if (!gate || !product || list.some(({ reference }) => reference.isControl)) return null;
  return soleConsumer(graph, consumers, gate.name) === product ? [gate, product] : null;
}

/** Puts a convolution where the last node was that it stands for, and takes the others away. */
function replace(graph: Graph, folded: readonly string[], place: string, input: string): void {
  for (const name of folded) graph.nodes.delete(name);
  graph.nodes.set(place, { name: place, op: FOLDED_OP, inputs: [input], attr: {} });
}

/** A convolution with an activation that DSConv has not becomes two nodes; the activation keeps the name. */
function splitActivation(graph: Graph, name: string, op: string): string {
  const place = graph.freeName(`${name}/convolution`);
  const node = graph.nodes.get(name)!;
  graph.nodes.set(place, { ...node, name: place });
  graph.nodes.set(name, { name, op, inputs: [place], attr: { T: typeAttribute('DT_FLOAT') } });
  return place;
}

/** A border of zeros before a convolution without padding is the convolution's padding. */
function absorbPads(graph: Graph, convolutions: FoldedGraph['convolutions'], unread: Set<string>): void {
  for (const [name, convolution] of convolutions) {
    if (convolution.pad === 'same' || convolution.isDense) continue;
    const { name: inputName, output } = parseReference(convolution.input);
    const node = graph.nodes.get(inputName);
    const border = node && output === 0 ? zeroBorder(graph, node) : null;
    if (!node || !border) continue;
    const { top, bottom, left, right } =
      convolution.pad === 'valid' ? { top: 0, bottom: 0, left: 0, right: 0 } : convolution.pad;
    convolution.pad = {
      top: top + border[1]![0],
      bottom: bottom + border[1]![1],
      left: left + border[2]![0],
      right: right + border[2]![1],
    };
    convolution.folded.unshift(node.name);
    convolution.input = node.inputs[0]!;
    graph.nodes.get(name)!.inputs = [convolution.input];
    if (graph.outputs.has(node.name) || graph.consumers().has(node.name)) continue;
    graph.nodes.delete(node.name);
    for (const input of node.inputs) unread.add(input);
  }
}

/** Pairs of a node that pads height and width with zeros, or null. */
function zeroBorder(graph: Graph, node: GraphNode): [number, number][] | null {
  if (node.op !== 'Pad' && node.op !== 'PadV2') return null;
  if (node.op === 'PadV2' && graph.scalar(node.inputs[2]) !== 0) return null;
  const values = graph.values(node.inputs[1]);
  if (values?.length !== 8 || values.some((n) => n < 0)) return null;
  if (values[0] || values[1] || values[6] || values[7]) return null;
  return [0, 2, 4, 6].map((n) => [values[n]!, values[n + 1]!]);
}
