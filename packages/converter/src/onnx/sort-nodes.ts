import { nearest } from '@dsconv/models';
import { NodeError } from '../graph/node-error.js';
import type { NodeProto } from './proto.js';

/**
 * Nodes in an order in which inputs come first; ONNX promises one, and not every file keeps it.
 *
 * @param given names that inputs and initializers have
 * @throws NodeError when an input is made by nothing (with the nearest names), or nodes read each other in a circle
 */
export function sortNodes(
  nodes: readonly NodeProto[],
  given: ReadonlyMap<string, unknown>,
  file: string,
): NodeProto[] {
  const makers = new Map<string, NodeProto>();
  for (const node of nodes) for (const name of node.outputs) if (name !== '') makers.set(name, node);
  const waiting = new Map<NodeProto, number>();
  const readers = new Map<NodeProto, NodeProto[]>();
  const order: NodeProto[] = [];
  for (const node of nodes) {
    const before = new Set<NodeProto>();
    for (const name of node.inputs) {
      if (name === '' || given.has(name)) continue;
      const maker = makers.get(name);
      if (!maker) throw missing(node, name, [...given.keys(), ...makers.keys()], file);
      before.add(maker);
    }
    waiting.set(node, before.size);
    for (const maker of before) {
      const list = readers.get(maker);
      if (list) list.push(node);
      else readers.set(maker, [node]);
    }
    if (before.size === 0) order.push(node);
  }
  for (let n = 0; n < order.length; n++) {
    for (const reader of readers.get(order[n]!) ?? []) {
      const left = waiting.get(reader)! - 1;
      waiting.set(reader, left);
      if (left === 0) order.push(reader);
    }
  }
  const stuck = nodes.find((node) => waiting.get(node)! > 0);
  if (stuck) {
    throw new NodeError(
      file,
      described(stuck),
      'waits for itself in a circle of nodes; expected a graph without cycles',
    );
  }
  return order;
}

function described({ name, op, outputs }: NodeProto): { name: string; op: string } {
  return { name: name || outputs[0] || op, op };
}

function missing(node: NodeProto, name: string, names: readonly string[], file: string): NodeError {
  const similar = nearest(name, names).map((found) => `'${found}'`);
  return new NodeError(
    file,
    described(node),
    `reads '${name}', which nothing makes; the nearest names are ${similar.join(', ') || 'none'}`,
  );
}
