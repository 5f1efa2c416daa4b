/** The messages of an ONNX file (onnx.proto of version 1.17) that converting needs, as far as it needs them. */
export interface TensorProto {
  name: string;
  dims: number[];
  /** A number of `TensorProto.DataType`. */
  type: number;
  /** Little-endian; null where the values are in the lists. */
  raw: Uint8Array | null;
  floats: number[];
  /** Of int32_data, int64_data and uint64_data. */
  integers: number[];
  /** Where the values lie in another file: location, offset, length; null where they lie here. */
  external: ReadonlyMap<string, string> | null;
}

export interface AttributeProto {
  name: string;
  float: number | null;
  integer: number | null;
  text: string | null;
  tensor: TensorProto | null;
  floats: number[];
  integers: number[];
  /** It holds graphs, as those of control flow do. */
  hasGraph: boolean;
}

export interface NodeProto {
  name: string;
  op: string;
  /** Empty for ONNX's own operators. */
  domain: string;
  /** An empty name stands for an input that is left out. */
  inputs: string[];
  outputs: string[];
  attributes: Map<string, AttributeProto>;
}

/** A graph's input or output. */
export interface ValueInfoProto {
  name: string;
  /** Null where it is no tensor. */
  type: number | null;
  /** Null for an open number of dimensions; a text, perhaps empty, for an open dimension. */
  shape: (number | string)[] | null;
}

export interface ModelProto {
  producer: string;
  /** By domain; '' is ONNX's own. */
  opsets: Map<string, number>;
  /** Operators that the model itself defines. */
  functions: Set<string>;
  nodes: NodeProto[];
  initializers: TensorProto[];
  inputs: ValueInfoProto[];
  outputs: ValueInfoProto[];
  hasSparseInitializers: boolean;
}
