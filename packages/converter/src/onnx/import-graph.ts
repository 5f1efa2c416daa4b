/** From an ONNX graph to a TensorFlow.js graph of the same function, float, with pictures in TensorFlow.js's order inside. */
import { FileFormatError, nearest } from '@dsconv/models';
import type { LeftNode } from '../graph/fold-graph.js';
import { Graph } from '../graph/graph.js';
import { NodeError } from '../graph/node-error.js';
import { GraphBuilder, OpenBatchProblem, referable } from './builder.js';
import { foldConstants } from './fold/fold-constants.js';
import { addInputs, chooseBatch } from './inputs.js';
import { NodeContext, OpenBatchError } from './node-context.js';
import { READS_QUANTIZED, TRANSLATIONS } from './ops/index.js';
import { finishOutputs } from './outputs.js';
import type { ModelProto, NodeProto } from './proto.js';
import { readTensor } from './read-tensor.js';
import type { ImportOptions, Signature } from './signature.js';
import { sortNodes } from './sort-nodes.js';
import { known, type Value } from './value.js';

export interface ImportedGraph {
  graph: Graph;
  signature: Signature;
  /** Quantizations of activations that were left out. */
  dropped: LeftNode[];
}

/** Operators whose nodes hold graphs of their own. */
const CONTROL_FLOW = ['If', 'Loop', 'Scan', 'SequenceMap'];

const ALSO_READ = ['', 'com.microsoft'];

/** Versions of ONNX's operators that are known. From 21 on the operators here only learned more types of numbers. */
const OPSETS = { least: 7, most: 23 };

/**
 * @param fixBatch give an open batch this size; null leaves it open
 * @throws FileFormatError, NodeError naming file, node and operator when anything is malformed or unknown
 * @throws OpenBatchError when a node needs the size of an open batch
 */
export function importGraph(
  model: ModelProto,
  file: string,
  options: ImportOptions,
  fixBatch: number | null,
): ImportedGraph {
  const opset = model.opsets.get('') ?? 0;
  if (!(opset >= OPSETS.least && opset <= OPSETS.most)) {
    throw new FileFormatError(
      file,
      `is of opset ${opset}; expected an ONNX model of opset ${OPSETS.least} to ${OPSETS.most}`,
    );
  }
  if (model.hasSparseInitializers) {
    throw new FileFormatError(file, 'has sparse initializers; expected dense ones');
  }
  const builder = new GraphBuilder(new Graph(file, new Map()), chooseBatch(model, file, options, fixBatch));
  const values = new Map<string, Value>();
  readInitializers(model, file, values);
  const signature = addInputs(model, file, builder, values, options, fixBatch);
  const dropped: LeftNode[] = [];
  const nodes = sortNodes(model.nodes, values, file);
  const readers = readersOf(nodes);
  for (const { name } of nodes) builder.nodeNames.add(referable(name));
  for (const proto of nodes) {
    checkOperator(proto, model, file);
    const node = new NodeContext(builder, proto, values, opset, readers, file);
    const outputs = guarded(node, () => translate(node, file));
    for (const [n, name] of proto.outputs.entries()) {
      const value = outputs[n];
      if (name === '' || !value) continue;
      if (values.has(name))
        node.fail(`makes '${name}', which another node makes; expected a name of its own`);
      values.set(name, { ...value, name });
    }
    dropped.push(...node.dropped);
  }
  try {
    finishOutputs(model, file, builder, values, signature, options);
  } catch (error) {
    const outputs = { name: model.outputs.map(({ name }) => name).join(), op: 'output' };
    if (error instanceof OpenBatchProblem) throw new OpenBatchError(file, outputs, error.message);
    throw error instanceof RangeError ? new NodeError(file, outputs, error.message) : error;
  }
  dropDead(builder.graph);
  return { graph: builder.graph, signature, dropped };
}

function readInitializers({ initializers }: ModelProto, file: string, values: Map<string, Value>): void {
  for (const tensor of initializers) {
    const constant = readTensor(tensor);
    if (typeof constant === 'string')
      throw new FileFormatError(file, `initializer '${tensor.name}' ${constant}`);
    if (values.has(tensor.name)) {
      throw new FileFormatError(file, `initializer '${tensor.name}' is there twice; expected it once`);
    }
    values.set(tensor.name, known(tensor.name, constant));
  }
}

function readersOf(nodes: readonly NodeProto[]): Map<string, NodeProto[]> {
  const readers = new Map<string, NodeProto[]>();
  for (const node of nodes) {
    for (const name of node.inputs) {
      const list = readers.get(name);
      if (list) list.push(node);
      else readers.set(name, [node]);
    }
  }
  return readers;
}

function checkOperator(proto: NodeProto, { functions }: ModelProto, file: string): void {
  const { name, op, domain, outputs, attributes } = proto;
  const node = { name: name || outputs[0] || op, op: domain === '' ? op : `${domain}.${op}` };
  if (CONTROL_FLOW.includes(op) || [...attributes.values()].some(({ hasGraph }) => hasGraph)) {
    throw new NodeError(file, node, 'is control flow, which is not converted; expected a graph without it');
  }
  if (ALSO_READ.includes(domain) && Object.hasOwn(TRANSLATIONS, op)) return;
  if (functions.has(op)) {
    throw new NodeError(file, node, 'is a function of the model; expected a file with functions inlined');
  }
  const similar = nearest(op, Object.keys(TRANSLATIONS)).join(', ');
  throw new NodeError(file, node, `is not known; the nearest operators that are: ${similar}`);
}

/** What is known is computed now; the rest becomes nodes of the graph. */
function translate(node: NodeContext, file: string): (Value | null)[] {
  const { builder, proto } = node;
  for (const [n, name] of proto.inputs.entries()) {
    const value = node.optional(n);
    if (value?.quantized && !READS_QUANTIZED.has(proto.op)) {
      node.fail(`reads '${name}', which is quantized; expected DequantizeLinear before it`);
    }
  }
  const folded = foldConstants(node);
  if (folded) return folded.map((constant, n) => constant && known(proto.outputs[n] ?? '', constant));
  builder.prefix = node.name;
  builder.added = [];
  const made = TRANSLATIONS[proto.op]!(node);
  const outputs = Array.isArray(made) ? made : [made];
  callAfterNode(node, outputs);
  checkShapes(node, outputs, file);
  return outputs;
}

/** The node that makes the first output gets the name of ONNX's node. */
function callAfterNode({ builder, name }: NodeContext, outputs: readonly (Value | null)[]): void {
  const [value] = outputs;
  const reference = value && !value.constant ? value.forms.get(value.order.join()) : undefined;
  const made = reference?.replace(/:\d+$/, '');
  const { graph, added } = builder;
  if (made === undefined || !added.includes(made)) return;
  const wanted = builder.freeName(name, true);
  const node = graph.nodes.get(made)!;
  graph.nodes.delete(made);
  graph.nodes.set(wanted, { ...node, name: wanted });
  const renamed = (input: string): string =>
    input.replace(/:\d+$/, '') === made ? input.replace(made, wanted) : input;
  for (const other of added) {
    const reader = graph.nodes.get(other);
    if (reader) reader.inputs = reader.inputs.map(renamed);
  }
  for (const output of outputs) {
    for (const [key, form] of output?.forms ?? []) output!.forms.set(key, renamed(form));
  }
}

/** Sizes that came out as none tell that a window or a slice does not fit. */
function checkShapes(node: NodeContext, outputs: readonly (Value | null)[], file: string): void {
  for (const value of outputs) {
    if (!value || value.shape.every((size) => Number.isSafeInteger(size) && size > 0)) continue;
    const { name, proto } = node;
    throw new NodeError(
      file,
      { name, op: proto.op },
      `has an output of shape [${node.builder.describe(value.shape)}]; expected sizes above 0`,
    );
  }
}

/** Problems that know no node get one. */
function guarded<T>(node: NodeContext, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof OpenBatchProblem)
      return node.failOpen(`${error.message}; expected an open batch that stays as it is`);
    if (error instanceof RangeError) return node.fail(error.message);
    throw error;
  }
}

/** Takes away what no output needs, constants among it. */
function dropDead(graph: Graph): void {
  const live = new Set<string>();
  const waiting = [...graph.outputs];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (live.has(name)) continue;
    live.add(name);
    waiting.push(...(graph.nodes.get(name)?.inputs ?? []).map((input) => input.replace(/:\d+$/, '')));
  }
  for (const { name, op } of [...graph.nodes.values()]) {
    if (live.has(name) || op === 'Placeholder') continue;
    graph.nodes.delete(name);
    graph.weights.delete(name);
  }
}
