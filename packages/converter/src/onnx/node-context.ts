/** One node of an ONNX graph for the code that translates it: its inputs and attributes, checked. */
import { NodeError } from '../graph/node-error.js';
import { elementCount } from '../graph/stored-weights.js';
import type { GraphBuilder } from './builder.js';
import type { Constant } from './constant.js';
import type { NodeProto } from './proto.js';
import type { Value } from './value.js';

/** The number of pictures is open and a node needs it; importing again with a fixed one may help. */
export class OpenBatchError extends NodeError {}

export class NodeContext {
  /** For messages: nodes may be nameless. */
  readonly name: string;
  /** Nodes that were left out, and why. */
  readonly dropped: { name: string; op: string; reason: string }[] = [];

  constructor(
    readonly builder: GraphBuilder,
    readonly proto: NodeProto,
    private readonly values: ReadonlyMap<string, Value>,
    readonly opset: number,
    private readonly readers: ReadonlyMap<string, readonly NodeProto[]>,
    private readonly file: string,
  ) {
    this.name = proto.name || proto.outputs[0] || proto.op;
  }

  /** Number of inputs, trailing ones that are left out not counted. */
  get inputCount(): number {
    const { inputs } = this.proto;
    let count = inputs.length;
    while (count > 0 && inputs[count - 1] === '') count--;
    return count;
  }

  input(n: number): Value {
    const value = this.optional(n);
    return value ?? this.fail(`has no input ${n}; expected one`);
  }

  optional(n: number): Value | null {
    const name = this.proto.inputs[n] ?? '';
    return name === '' ? null : (this.values.get(name) ?? null);
  }

  /** All inputs, of which there is one at least. */
  inputs(): Value[] {
    return Array.from({ length: Math.max(1, this.inputCount) }, (_, n) => this.input(n));
  }

  /** @param what such as `the scale`, for the message when it is computed */
  constant(n: number, what: string): Constant {
    const value = this.input(n);
    return value.constant ?? this.fail(`has ${what} '${value.name}' computed; expected a constant`);
  }

  /** The one number of a constant. */
  number(n: number, what: string): number {
    const { data, shape } = this.constant(n, what);
    if (data.length !== 1) this.fail(`has ${what} of shape [${shape}]; expected one number`);
    return data[0]!;
  }

  has(name: string): boolean {
    return this.proto.attributes.has(name);
  }

  int(name: string, otherwise: number): number {
    return this.proto.attributes.get(name)?.integer ?? otherwise;
  }

  float(name: string, otherwise: number): number {
    return this.proto.attributes.get(name)?.float ?? otherwise;
  }

  text(name: string, otherwise: string): string {
    return this.proto.attributes.get(name)?.text ?? otherwise;
  }

  /** @param length how many there must be */
  ints(name: string, otherwise: readonly number[], length?: number): readonly number[] {
    const list = this.proto.attributes.get(name)?.integers ?? otherwise;
    if (length !== undefined && list.length !== length) {
      this.fail(`has ${name} [${list.slice(0, 20)}]; expected ${length} integers`);
    }
    return list;
  }

  /** Axes that are an attribute in older versions of an operator and an input in newer ones; null where there are none. */
  axes(input: number, since: number): readonly number[] | null {
    if (this.opset < since) return this.proto.attributes.get('axes')?.integers ?? null;
    return this.optional(input) ? [...this.constant(input, 'the axes').data] : null;
  }

  /** An axis counted from 0. */
  axis(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis;
    if (!Number.isInteger(axis) || counted < 0 || counted >= Math.max(rank, 1)) {
      this.fail(`has the axis ${axis}; expected one of ${rank} dimensions`);
    }
    return counted;
  }

  /** @throws NodeError unless the value has one of these numbers of dimensions */
  rank(value: Value, ...ranks: number[]): void {
    if (ranks.includes(value.shape.length)) return;
    this.fail(
      `reads '${value.name}' of shape [${this.builder.describe(value.shape)}]; expected ${ranks.join(' or ')} dimensions`,
    );
  }

  /** True where an output is there and read by a node, or is an output of the graph. */
  isRead(output: number): boolean {
    const name = this.proto.outputs[output] ?? '';
    return name !== '' && (this.readers.has(name) || this.builder.reserved.has(name));
  }

  /** The nodes that read an output, or null where it is an output of the graph too. */
  readersOf(name: string): readonly NodeProto[] | null {
    return this.builder.reserved.has(name) ? null : (this.readers.get(name) ?? []);
  }

  /** The number of elements, which is a multiple of the batch where that is open. */
  count(value: Value): number {
    return elementCount(value.shape);
  }

  /** The same node with other inputs, for operators that do what another does and more. */
  withInputs(values: readonly Value[]): NodeContext {
    const names = values.map((_, n) => `${n}`);
    const proto = { ...this.proto, inputs: names };
    const given = new Map(names.map((name, n) => [name, values[n]!]));
    return new NodeContext(this.builder, proto, given, this.opset, this.readers, this.file);
  }

  drop(reason: string): void {
    this.dropped.push({ name: this.name, op: this.proto.op, reason });
  }

  /** @throws NodeError naming file, node and operator */
  fail(problem: string): never {
    throw new NodeError(this.file, { name: this.name, op: this.proto.op }, problem);
  }

  /** @throws OpenBatchError, after which importing is tried again with a fixed batch */
  failOpen(problem: string): never {
    throw new OpenBatchError(this.file, { name: this.name, op: this.proto.op }, problem);
  }
}

/** Translates one node; gives a value for every output that is read. */
export type Translate = (node: NodeContext) => Value | (Value | null)[];

export type Translations = Readonly<Record<string, Translate>>;
