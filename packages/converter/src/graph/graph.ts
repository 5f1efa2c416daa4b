/** A TensorFlow.js graph while it is converted: nodes by name, weights by name, what reads what. */
import { nearest } from '@dsconv/models';
import type { Attributes } from './attributes.js';
import { NodeError } from './node-error.js';
import { elementCount, type StoredWeight, weightValues } from './stored-weights.js';

export interface GraphNode {
  name: string;
  op: string;
  /** `name`, `name:output`, or `^name` for an order of execution only. */
  inputs: string[];
  attr: Attributes;
}

/** A reference to an output of a node. */
export interface Reference {
  name: string;
  output: number;
  /** `^name`: only the order matters. */
  isControl: boolean;
}

/** Splits `name:output` and `^name`. Outputs by a name, `node:indices:0`, count as one above any number. */
export function parseReference(input: string): Reference {
  const isControl = input.startsWith('^');
  const [name = '', ...rest] = (isControl ? input.slice(1) : input).split(':');
  const output = rest.length === 0 ? 0 : rest.length === 1 ? Number(rest[0]) : Number.NaN;
  return { name, output, isControl };
}

/** Loops of the older control flow go through this operator. */
const LOOP_BACK = 'NextIteration';

export class Graph {
  readonly nodes = new Map<string, GraphNode>();
  /** Names of nodes whose outputs must stay: those of the signature, or else the nodes nothing reads. */
  readonly outputs = new Set<string>();

  /** @param file for errors */
  constructor(
    readonly file: string,
    readonly weights: Map<string, StoredWeight>,
  ) {}

  /** Nodes and weights can be added to and taken from the copy; their contents are shared. */
  copy(): Graph {
    const copy = new Graph(this.file, new Map(this.weights));
    for (const [name, node] of this.nodes) copy.nodes.set(name, node);
    for (const name of this.outputs) copy.outputs.add(name);
    return copy;
  }

  /** @throws NodeError when another node has the name */
  add(node: GraphNode): void {
    if (this.nodes.has(node.name)) {
      throw new NodeError(this.file, node, 'has the name of another node; expected one of its own');
    }
    this.nodes.set(node.name, node);
  }

  /** A node's constant through identities, or null. */
  constant(input: string | undefined): StoredWeight | null {
    for (let at = input, steps = 0; at !== undefined && steps < 100; steps++) {
      const { name, isControl } = parseReference(at);
      const node = this.nodes.get(name);
      if (!node || isControl) return null;
      if (node.op === 'Const') return this.weights.get(name) ?? null;
      if (node.op !== 'Identity') return null;
      at = node.inputs[0];
    }
    return null;
  }

  /** The numbers of a constant, or null. */
  values(input: string | undefined): Float32Array | null {
    const weight = this.constant(input);
    return weight && weightValues(weight);
  }

  /** One number, or null. */
  scalar(input: string | undefined): number | null {
    const weight = this.constant(input);
    return weight && elementCount(weight.shape) === 1 ? (weightValues(weight)?.[0] ?? null) : null;
  }

  /** Adds a constant under a name that is free, and returns the name. */
  addConstant(weight: StoredWeight): string {
    const name = this.freeName(weight.name);
    const type = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL', string: 'DT_STRING' }[
      weight.dtype as 'float32'
    ];
    const dim = weight.shape.map((size) => ({ size: `${size}` }));
    const attr = {
      dtype: { type },
      value: { tensor: { dtype: type, tensorShape: { dim } } },
    };
    this.nodes.set(name, { name, op: 'Const', inputs: [], attr });
    this.weights.set(name, { ...weight, name });
    return name;
  }

  freeName(wanted: string): string {
    let name = wanted;
    for (let n = 1; this.nodes.has(name) || this.weights.has(name); n++) name = `${wanted}_${n}`;
    return name;
  }

  /** For each node the nodes that read it, once for every input that does. */
  consumers(): Map<string, { node: GraphNode; reference: Reference }[]> {
    const consumers = new Map<string, { node: GraphNode; reference: Reference }[]>();
    for (const node of this.nodes.values()) {
      for (const input of node.inputs) {
        const reference = parseReference(input);
        const list = consumers.get(reference.name);
        if (list) list.push({ node, reference });
        else consumers.set(reference.name, [{ node, reference }]);
      }
    }
    return consumers;
  }

  /**
   * Nodes in an order in which inputs come first.
   *
   * @throws NodeError when an input names no node (with the nearest names), or nodes read each other in a circle
   */
  sorted(): GraphNode[] {
    const order: GraphNode[] = [];
    const waiting = new Map<string, number>();
    const readers = new Map<string, GraphNode[]>();
    for (const node of this.nodes.values()) {
      const before = new Set(node.inputs.map((input) => this.resolve(node, input)));
      const counted = [...before].filter((name) => this.nodes.get(name)!.op !== LOOP_BACK);
      waiting.set(node.name, counted.length);
      for (const name of counted) readers.set(name, [...(readers.get(name) ?? []), node]);
      if (counted.length === 0) order.push(node);
    }
    for (let n = 0; n < order.length; n++) {
      for (const reader of readers.get(order[n]!.name) ?? []) {
        const left = waiting.get(reader.name)! - 1;
        waiting.set(reader.name, left);
        if (left === 0) order.push(reader);
      }
    }
    if (order.length < this.nodes.size) {
      const stuck = [...this.nodes.values()].find(({ name }) => waiting.get(name)! > 0)!;
      throw new NodeError(
        this.file,
        stuck,
        'waits for itself in a circle of nodes; expected a graph without cycles',
      );
    }
    return order;
  }

  private resolve(node: GraphNode, input: string): string {
    const { name } = parseReference(input);
    if (this.nodes.has(name)) return name;
    const similar = nearest(name, this.nodes.keys()).map((found) => `'${found}'`);
    throw new NodeError(
      this.file,
      node,
      `reads '${name}', which no node is called; the nearest names are ${similar.join(', ')}`,
    );
  }

  /** Drops constants that nothing reads any more, of the nodes given. */
  dropUnread(candidates: Iterable<string>): void {
    const consumers = this.consumers();
    for (const name of candidates) {
      const node = this.nodes.get(name);
      if (!node || this.outputs.has(name) || consumers.has(name)) continue;
      if (node.op !== 'Const') continue;
      this.nodes.delete(name);
      this.weights.delete(name);
    }
  }

  /** @throws NodeError when a constant has no weight */
  checkConstants(): void {
    for (const node of this.nodes.values()) {
      if (node.op !== 'Const' || this.weights.has(node.name)) continue;
      const similar = nearest(node.name, this.weights.keys()).map((name) => `'${name}'`);
      throw new NodeError(
        this.file,
        node,
        `has no weight of its name in weightsManifest; the nearest names are ${similar.join(', ') || 'none'}`,
      );
    }
  }
}
