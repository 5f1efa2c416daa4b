/** Adds nodes to a TensorFlow.js graph while an ONNX graph is read, and puts values into the order that a node wants. */
import { type Attributes, typeAttribute } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import { elementCount, floatWeight, intWeight, type StoredWeight } from '../graph/stored-weights.js';
import { type Constant, floats, ints, transposed } from './constant.js';
import { isSameMemory, type Order, permute, plain } from './layout.js';
import type { Value } from './value.js';

/** Where an open batch would have to be a number. */
export class OpenBatchProblem extends Error {}

export const TYPED: Attributes = { T: typeAttribute('DT_FLOAT') };

/** A name that TensorFlow.js can refer to: ':' and '^' mean something else there. */
export function referable(name: string): string {
  return name.replaceAll(':', '_').replace(/^\^+/, '') || 'node';
}

export class GraphBuilder {
  /** Name of the ONNX node that is translated; nodes are called after it. */
  prefix = '';
  /** Names that only inputs and outputs may have. */
  readonly reserved = new Set<string>();
  /** Names of ONNX's nodes, which constants must not take from them. */
  readonly nodeNames = new Set<string>();
  /** Values that were computed while importing. */
  folded = 0;
  /** Nodes that were added since the list was emptied. */
  added: string[] = [];

  /**
   * @param batch a large prime that stands for the size of an open batch, so that every size that depends on it is a multiple; null where no
   *   size is open
   */
  constructor(
    readonly graph: Graph,
    readonly batch: number | null,
  ) {}

  /** Adds a node and returns the reference to its first output. */
  emit(
    op: string,
    inputs: readonly string[],
    attr: Attributes = TYPED,
    wanted = `${this.prefix}/${op}`,
  ): string {
    const name = this.freeName(wanted);
    this.graph.add({ name, op, inputs: [...inputs], attr });
    this.added.push(name);
    return name;
  }

  /**
   * A name that no other node has.
   *
   * @param isOwn it is for the node of ONNX that is called so
   */
  freeName(wanted: string, isOwn = false): string {
    const base = referable(wanted);
    let name = base;
    const isTaken = (): boolean =>
      this.reserved.has(name) ||
      (!isOwn && this.nodeNames.has(name)) ||
      this.graph.nodes.has(name) ||
      this.graph.weights.has(name);
    for (let n = 1; isTaken(); n++) name = `${base}_${n}`;
    return name;
  }

  /** A list of integers, such as axes. */
  vector(values: readonly number[]): string {
    return this.constant(`${this.prefix}/numbers`, ints([values.length], values));
  }

  /** One number. */
  scalar(value: number, kind: 'float' | 'int' = 'float'): string {
    const constant = kind === 'float' ? floats([], [value]) : ints([], [value]);
    return this.constant(`${this.prefix}/number`, constant);
  }

  /** @throws OpenBatchProblem when an integer depends on the batch; RangeError when it has more than 32 bits */
  constant(wanted: string, constant: Constant): string {
    const name = this.freeName(wanted);
    return this.graph.addConstant(this.weight(name, constant));
  }

  private weight(name: string, { kind, shape, data }: Constant): StoredWeight {
    if (kind === 'float') return floatWeight(name, shape, data as Float32Array);
    if (kind === 'bool') return { name, shape, dtype: 'bool', bytes: Uint8Array.from(data) };
    for (const value of data) {
      if (this.isOpen(value)) throw new OpenBatchProblem('computes with the number of pictures');
      if (value !== (value | 0)) throw new RangeError(`has the integer ${value}; expected one of 32 bits`);
    }
    return intWeight(name, shape, [...data]);
  }

  /** True for sizes that depend on the batch. */
  isOpen(size: number): boolean {
    return this.batch !== null && size !== 0 && size % this.batch === 0;
  }

  /** A shape for a reshape or a placeholder: -1 where it is open. @throws OpenBatchProblem when that is more than once */
  sizes(shape: readonly number[]): number[] {
    const sizes = shape.map((size) => (this.isOpen(size) ? -1 : size));
    if (sizes.filter((size) => size === -1).length > 1) {
      throw new OpenBatchProblem(`has the shape [${this.describe(shape)}], whose size is open twice`);
    }
    return sizes;
  }

  /** A shape for messages. */
  describe(shape: readonly number[]): string {
    return shape
      .map((size) => {
        if (!this.isOpen(size)) return size;
        return size === this.batch ? 'batch' : `${size / this.batch!}·batch`;
      })
      .join();
  }

  /** The value as it lies in `order`, which is made once and then shared by all who ask for it. */
  lay(value: Value, order: Order): string {
    const key = order.join();
    const known = value.forms.get(key);
    if (known !== undefined) return known;
    const made = value.constant
      ? this.constant(value.name, transposed(value.constant, order))
      : this.rearranged(value, order);
    value.forms.set(key, made);
    return made;
  }

  private rearranged(value: Value, order: Order): string {
    const { shape } = value;
    const name = `${value.name}/${order.join('') === plain(shape.length).join('') ? 'plain' : 'ordered'}`;
    for (const [key, reference] of value.forms) {
      const from = key === '' ? [] : key.split(',').map(Number);
      if (!isSameMemory(shape, from, order)) continue;
      return this.reshape(reference, permute(shape, order), name);
    }
    const perm = order.map((axis) => value.order.indexOf(axis));
    return this.emit('Transpose', [value.forms.get(value.order.join())!, this.vector(perm)], TYPED, name);
  }

  /** @param shape as it lies in memory */
  reshape(reference: string, shape: readonly number[], name?: string): string {
    return this.emit('Reshape', [reference, this.vector(this.sizes(shape))], TYPED, name);
  }

  /**
   * An operand of an element-wise operator whose result has `rank` axes in `order`.
   *
   * @param short leave out axes of length 1 that lie first, which another operand has
   */
  operand(value: Value, rank: number, order: Order, short = true): string {
    const lead = rank - value.shape.length;
    const shape = [...new Array<number>(lead).fill(1), ...value.shape];
    const { constant } = value;
    if (constant && short && elementCount(shape) === 1) {
      return this.constant(value.name, { ...constant, shape: [] });
    }
    if (constant) {
      const laid = transposed({ ...constant, shape }, order);
      const ones = short ? laid.shape.findIndex((size) => size !== 1) : 0;
      return this.constant(value.name, { ...laid, shape: laid.shape.slice(ones) });
    }
    if (lead === 0) return this.lay(value, order);
    const low = plain(value.shape.length);
    // Axes of length 1 in front of all others change nothing.
    if (order.slice(lead).every((axis, n) => axis === low[n]! + lead)) return this.lay(value, low);
    const widened = this.reshape(this.lay(value, low), shape, `${value.name}/widened`);
    const wide: Value = {
      ...value,
      shape,
      order: plain(rank),
      forms: new Map([[plain(rank).join(), widened]]),
    };
    return this.lay(wide, order);
  }
}
