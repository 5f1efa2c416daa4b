/** ONNX models under construction, with everything that importing has to read: opsets, types, attributes, open sizes, external data. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

export type Type =
  | 'float32'
  | 'uint8'
  | 'int8'
  | 'int32'
  | 'int64'
  | 'bool'
  | 'float16'
  | 'double'
  | 'bfloat16';

/** A list of integers, a number (integer), `{ float }`, `{ floats }`, a string, or a tensor. */
export type Attribute =
  | number
  | string
  | readonly number[]
  | { float: number }
  | { floats: readonly number[] }
  | { tensor: Uint8Array }
  | { graph: Uint8Array };

export type Attributes = Readonly<Record<string, Attribute>>;

export const TYPES: Readonly<Record<Type, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  double: 11,
  bfloat16: 16,
};

/** One message out of calls on a writer. */
function message(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

const field = (writer: BinaryWriter, number: number, bytes: Uint8Array): BinaryWriter =>
  writer.tag(number, WireType.LengthDelimited).bytes(bytes);
const text = (writer: BinaryWriter, number: number, value: string): BinaryWriter =>
  writer.tag(number, WireType.LengthDelimited).string(value);
const integer = (writer: BinaryWriter, number: number, value: number): BinaryWriter =>
  writer.tag(number, WireType.Varint).int64(BigInt(value));

/** Little-endian bytes of values. */
export function rawBytes(type: Type, values: ArrayLike<number>): Uint8Array {
  const list = Array.from(values);
  const array = {
    float32: () => Float32Array.from(list),
    uint8: () => Uint8Array.from(list),
    int8: () => Int8Array.from(list),
    int32: () => Int32Array.from(list),
    int64: () => BigInt64Array.from(list, BigInt),
    bool: () => Uint8Array.from(list),
    double: () => Float64Array.from(list),
    float16: () => Uint16Array.from(list),
    bfloat16: () => Uint16Array.from(new Uint32Array(Float32Array.from(list).buffer), (bits) => bits >>> 16),
  }[type]();
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** A TensorProto. `external` says where its bytes are instead of here. */
export function tensorProto(
  name: string,
  type: Type,
  shape: readonly number[],
  values: ArrayLike<number>,
  external?: Readonly<Record<string, string>>,
): Uint8Array {
  return message((writer) => {
    for (const size of shape) integer(writer, 1, size);
    integer(writer, 2, TYPES[type]);
    text(writer, 8, name);
    if (!external) field(writer, 9, rawBytes(type, values));
    for (const [key, value] of Object.entries(external ?? {})) {
      field(
        writer,
        13,
        message((entry) => text(text(entry, 1, key), 2, value)),
      );
    }
    if (external) integer(writer, 14, 1);
  });
}

function attributeProto(name: string, value: Attribute): Uint8Array {
  return message((writer) => {
    text(writer, 1, name);
    let kind: number;
    if (typeof value === 'number') {
      integer(writer, 3, value);
      kind = 2;
    } else if (typeof value === 'string') {
      text(writer, 4, value);
      kind = 3;
    } else if ('float' in value) {
      writer.tag(2, WireType.Bit32).float(Math.fround(value.float));
      kind = 1;
    } else if ('floats' in value) {
      for (const number of value.floats) writer.tag(7, WireType.Bit32).float(Math.fround(number));
      kind = 6;
    } else if ('tensor' in value) {
      field(writer, 5, value.tensor);
      kind = 4;
    } else if ('graph' in value) {
      field(writer, 6, value.graph);
      kind = 5;
    } else {
      for (const number of value) integer(writer, 8, number);
      kind = 7;
    }
    integer(writer, 20, kind);
  });
}

function valueInfo(name: string, type: Type, shape: readonly (number | string)[] | null): Uint8Array {
  const sizes = (shape ?? []).map((size) =>
    message((writer) => {
      if (typeof size === 'number') integer(writer, 1, size);
      else if (size !== '') text(writer, 2, size);
    }),
  );
  const tensorType = message((writer) => {
    integer(writer, 1, TYPES[type]);
    if (shape) {
      field(
        writer,
        2,
        message((dims) => {
          for (const size of sizes) field(dims, 1, size);
        }),
      );
    }
  });
  return message((writer) => {
    text(writer, 1, name);
    field(
      writer,
      2,
      message((outer) => field(outer, 1, tensorType)),
    );
  });
}

export interface NodeOptions {
  /** Names of outputs; one made-up name by default. */
  outputs?: readonly string[];
  name?: string;
  domain?: string;
}

export class OnnxModel {
  private readonly nodes: Uint8Array[] = [];
  private readonly initializers: Uint8Array[] = [];
  private readonly inputs: Uint8Array[] = [];
  private readonly results: Uint8Array[] = [];
  private count = 0;

  constructor(
    readonly opset = 17,
    private readonly irVersion = 8,
  ) {}

  input(name: string, shape: readonly (number | string)[], type: Type = 'float32'): string {
    this.inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(name: string, type: Type = 'float32'): void {
    this.results.push(valueInfo(name, type, null));
  }

  constant(
    name: string,
    shape: readonly number[],
    values: ArrayLike<number>,
    type: Type = 'float32',
    external?: Readonly<Record<string, string>>,
  ): string {
    this.initializers.push(tensorProto(name, type, shape, values, external));
    return name;
  }

  /** A constant of one number, or of a list where one is given. */
  numbers(values: number | readonly number[], type: Type = 'int64'): string {
    const list = typeof values === 'number' ? [values] : values;
    return this.constant(`c${this.count++}`, typeof values === 'number' ? [] : [list.length], list, type);
  }

  node(
    op: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    options: NodeOptions = {},
  ): string {
    const outputs = options.outputs ?? [`${op}_${this.count++}`];
    this.nodes.push(
      message((writer) => {
        for (const name of inputs) text(writer, 1, name);
        for (const name of outputs) text(writer, 2, name);
        if (options.name) text(writer, 3, options.name);
        text(writer, 4, op);
        for (const [name, value] of Object.entries(attributes)) field(writer, 5, attributeProto(name, value));
        if (options.domain) text(writer, 7, options.domain);
      }),
    );
    return outputs[0]!;
  }

  bytes(): Uint8Array {
    const graph = message((writer) => {
      for (const node of this.nodes) field(writer, 1, node);
      text(writer, 2, 'network');
      for (const initializer of this.initializers) field(writer, 5, initializer);
      for (const input of this.inputs) field(writer, 11, input);
      for (const output of this.results) field(writer, 12, output);
    });
    return message((writer) => {
      integer(writer, 1, this.irVersion);
      text(writer, 2, 'test');
      field(writer, 7, graph);
      for (const [domain, version] of [
        ['', this.opset],
        ['com.microsoft', 1],
      ] as const) {
        field(
          writer,
          8,
          message((opset) => integer(text(opset, 1, domain), 2, version)),
        );
      }
    });
  }
}
