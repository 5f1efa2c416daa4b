/** Attributes of nodes as a TensorFlow.js model.json spells them: integers as numbers or strings, strings in base64. */
import { isRecord, text } from '../json-values.js';
import type { GraphNode } from './graph.js';
import { NodeError } from './node-error.js';

/** Attributes by name, such as `{ padding: { s: 'U0FNRQ==' } }`. */
export type Attributes = { readonly [name: string]: unknown };

/** Reads attributes of one node, with errors that name file, node, operator and attribute. */
export class AttributeReader {
  constructor(
    private readonly node: GraphNode,
    private readonly file: string,
  ) {}

  string(name: string, otherwise: string): string {
    const value = this.field(name, 's');
    return value === undefined ? otherwise : this.decode(name, value);
  }

  strings(name: string): string[] {
    return this.list(name, 's').map((value) => this.decode(name, value));
  }

  number(name: string, otherwise: number): number {
    const value = this.field(name, 'f') ?? this.field(name, 'i');
    if (value === undefined) return otherwise;
    const number = Number(value);
    if (!Number.isFinite(number)) this.fail(name, value, 'a number');
    return number;
  }

  boolean(name: string, otherwise: boolean): boolean {
    const value = this.field(name, 'b');
    if (value === undefined) return otherwise;
    if (typeof value !== 'boolean') this.fail(name, value, 'true or false');
    return value as boolean;
  }

  integers(name: string): number[] {
    return this.list(name, 'i').map((value) => {
      const number = Number(value);
      if (!Number.isSafeInteger(number)) this.fail(name, value, 'integers');
      return number;
    });
  }

  private field(name: string, kind: string): unknown {
    const value = Object.hasOwn(this.node.attr, name) ? this.node.attr[name] : undefined;
    return isRecord(value) && Object.hasOwn(value, kind) ? value[kind] : undefined;
  }

  private list(name: string, kind: string): unknown[] {
    const list = this.field(name, 'list');
    const values = isRecord(list) && Object.hasOwn(list, kind) ? list[kind] : [];
    if (!Array.isArray(values)) this.fail(name, values, 'a list');
    return values as unknown[];
  }

  /** Strings are base64; writers in other languages give arrays of bytes. */
  private decode(name: string, value: unknown): string {
    if (Array.isArray(value)) return String.fromCharCode(...value.slice(0, 1000).map(Number));
    if (typeof value !== 'string') this.fail(name, value, 'a string');
    return Buffer.from(value as string, 'base64').toString('latin1');
  }

  private fail(name: string, value: unknown, expected: string): never {
    throw new NodeError(this.file, this.node, `has attribute ${name} ${text(value)}; expected ${expected}`);
  }
}

export const stringAttribute = (value: string): unknown => ({ s: Buffer.from(value).toString('base64') });
export const intAttribute = (value: number): unknown => ({ i: value });
export const floatAttribute = (value: number): unknown => ({ f: value });
export const boolAttribute = (value: boolean): unknown => ({ b: value });
export const intsAttribute = (values: readonly number[]): unknown => ({ list: { i: [...values] } });
export const typeAttribute = (type: string): unknown => ({ type });
