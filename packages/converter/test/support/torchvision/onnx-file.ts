/** An ONNX graph under construction, written as protocol buffers: https://protobuf.dev/programming-guides/encoding and onnx.proto. */

export type Attributes = Readonly<Record<string, number | string | readonly number[] | { float: number }>>;

const FLOAT = 1;
const INT64 = 7;
const IR_VERSION = 8;
const OPSET = 17;

const text = new TextEncoder();

/** One message: its fields in order. */
class Message {
  readonly parts: Uint8Array[] = [];
  length = 0;

  integer(field: number, value: number): this {
    this.varint(field * 8);
    this.varint(value);
    return this;
  }

  float(field: number, value: number): this {
    this.varint(field * 8 + 5);
    return this.append(new Uint8Array(Float32Array.of(value).buffer));
  }

  bytes(field: number, value: Uint8Array): this {
    this.varint(field * 8 + 2);
    this.varint(value.length);
    return this.append(value);
  }

  string(field: number, value: string): this {
    return this.bytes(field, text.encode(value));
  }

  message(field: number, value: Message): this {
    this.varint(field * 8 + 2);
    this.varint(value.length);
    for (const part of value.parts) this.append(part);
    return this;
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** @param value a non-negative integer; division instead of shifts, so that it may have more than 31 bits */
  private varint(value: number): void {
    const bytes: number[] = [];
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    bytes.push(rest);
    this.append(Uint8Array.from(bytes));
  }

  private append(part: Uint8Array): this {
    this.parts.push(part);
    this.length += part.length;
    return this;
  }
}

export class OnnxGraph {
  private readonly graph = new Message();
  private count = 0;

  /** Adds an operator and names its output. */
  node(operator: string, inputs: readonly string[], attributes: Attributes = {}): string {
    const output = `${operator}_${this.count++}`;
    const node = new Message();
    for (const input of inputs) node.string(1, input);
    node.string(2, output).string(4, operator);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    this.graph.message(1, node);
    return output;
  }

  /** Adds a float32 constant; its values are not copied. */
  constant(name: string, shape: readonly number[], data: Float32Array): string {
    this.graph.message(5, tensor(name, shape, FLOAT, new Uint8Array(data.buffer)));
    return name;
  }

  /** Adds a constant list of int64. */
  integers(values: readonly number[]): string {
    const name = `integers_${this.count++}`;
    const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.graph.message(5, tensor(name, [values.length], INT64, data));
    return name;
  }

  /** The bytes of the model, whose input is 'x' and whose output is renamed to 'y'. */
  finish(inputShape: readonly number[], output: string): Uint8Array {
    this.graph.message(1, new Message().string(1, output).string(2, 'y').string(4, 'Identity'));
    this.graph.string(2, 'network').message(11, value('x', inputShape)).message(12, value('y', null));
    const opset = new Message().string(1, '').integer(2, OPSET);
    return new Message().integer(1, IR_VERSION).message(7, this.graph).message(8, opset).finish();
  }
}

function attribute(name: string, value: Attributes[string]): Message {
  const message = new Message().string(1, name);
  if (typeof value === 'number') return message.integer(3, value).integer(20, 2);
  if (typeof value === 'string') return message.string(4, value).integer(20, 3);
  if ('float' in value) return message.float(2, value.float).integer(20, 1);
  for (const item of value) message.integer(8, item);
  return message.integer(20, 7);
}

function tensor(name: string, shape: readonly number[], type: number, data: Uint8Array): Message {
  const message = new Message();
  for (const side of shape) message.integer(1, side);
  return message.integer(2, type).string(8, name).bytes(9, data);
}

function value(name: string, shape: readonly number[] | null): Message {
  const type = new Message().integer(1, FLOAT);
  if (shape) {
    const sides = new Message();
    for (const side of shape) sides.message(1, new Message().integer(1, side));
    type.message(2, sides);
  }
  return new Message().string(1, name).message(2, new Message().message(1, type));
}
