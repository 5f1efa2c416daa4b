/** Reads the messages of an ONNX file. What converting does not need is passed over, graphs inside of nodes too: nothing nests deeper than a tensor. */
import type { Field, MessageReader } from './fields.js';
import type { AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from './proto.js';

/** Two bytes of a file can be a node, which takes hundreds in memory. */
const MOST_ENTRIES = 100_000;

/** @throws FileFormatError when the bytes are damaged, or hold more nodes than any network */
export function readModel(bytes: Uint8Array, reader: MessageReader): ModelProto {
  const model: ModelProto = {
    producer: '',
    opsets: new Map(),
    functions: new Set(),
    nodes: [],
    initializers: [],
    inputs: [],
    outputs: [],
    hasSparseInitializers: false,
  };
  let graphs = 0;
  for (const field of reader.fields(bytes, 'the model')) {
    if (field.number === 2) model.producer = reader.text(field, 'the model');
    else if (field.number === 7) {
      graphs++;
      readGraph(reader.bytes(field, 'the model'), model, reader);
    } else if (field.number === 8) readOpset(reader.bytes(field, 'the model'), model, reader);
    else if (field.number === 25) {
      model.functions.add(readFunctionName(reader.bytes(field, 'the model'), reader));
    }
  }
  if (graphs !== 1) throw reader.error(`has ${graphs} graphs; expected an ONNX model with one`);
  return model;
}

function readOpset(bytes: Uint8Array, model: ModelProto, reader: MessageReader): void {
  let domain = '';
  let version = 0;
  for (const field of reader.fields(bytes, 'an opset')) {
    if (field.number === 1) domain = reader.text(field, 'an opset');
    if (field.number === 2) version = reader.integer(field, 'an opset');
  }
  model.opsets.set(domain === 'ai.onnx' ? '' : domain, version);
}

function readFunctionName(bytes: Uint8Array, reader: MessageReader): string {
  let name = '';
  for (const field of reader.fields(bytes, 'a function')) {
    if (field.number === 1) name = reader.text(field, 'a function');
  }
  return name;
}

function readGraph(bytes: Uint8Array, model: ModelProto, reader: MessageReader): void {
  let entries = 0;
  for (const field of reader.fields(bytes, 'the graph')) {
    if (++entries > MOST_ENTRIES) {
      throw reader.error(`its graph has over ${MOST_ENTRIES} entries; expected a network of fewer nodes`);
    }
    const part = (): Uint8Array => reader.bytes(field, 'the graph');
    if (field.number === 1) model.nodes.push(readNode(part(), model.nodes.length, reader));
    else if (field.number === 5) model.initializers.push(readTensorProto(part(), 'an initializer', reader));
    else if (field.number === 11) model.inputs.push(readValueInfo(part(), reader));
    else if (field.number === 12) model.outputs.push(readValueInfo(part(), reader));
    else if (field.number === 15) model.hasSparseInitializers = true;
  }
}

function readNode(bytes: Uint8Array, n: number, reader: MessageReader): NodeProto {
  const node: NodeProto = { name: '', op: '', domain: '', inputs: [], outputs: [], attributes: new Map() };
  const what = `node ${n}`;
  for (const field of reader.fields(bytes, what)) {
    if (field.number === 1) node.inputs.push(reader.text(field, what));
    else if (field.number === 2) node.outputs.push(reader.text(field, what));
    else if (field.number === 3) node.name = reader.text(field, what);
    else if (field.number === 4) node.op = reader.text(field, what);
    else if (field.number === 7) node.domain = reader.text(field, what);
    else if (field.number === 5) {
      const attribute = readAttribute(reader.bytes(field, what), `an attribute of ${what}`, reader);
      node.attributes.set(attribute.name, attribute);
    }
  }
  if (node.op === '') throw reader.error(`${what} '${node.name}' has no operator; expected op_type`);
  if (node.domain === 'ai.onnx') node.domain = '';
  return node;
}

function readAttribute(bytes: Uint8Array, what: string, reader: MessageReader): AttributeProto {
  const attribute: AttributeProto = {
    name: '',
    float: null,
    integer: null,
    text: null,
    tensor: null,
    floats: [],
    integers: [],
    hasGraph: false,
  };
  for (const field of reader.fields(bytes, what)) readAttributeField(field, attribute, what, reader);
  return attribute;
}

function readAttributeField(
  field: Field,
  attribute: AttributeProto,
  what: string,
  reader: MessageReader,
): void {
  switch (field.number) {
    case 1:
      attribute.name = reader.text(field, what);
      break;
    case 2:
      attribute.float = reader.float(field, what);
      break;
    case 3:
      attribute.integer = reader.integer(field, what);
      break;
    case 4:
      // A string is bytes in ONNX; none that is read here has others than ASCII.
      attribute.text = Buffer.from(reader.bytes(field, what)).toString('latin1');
      break;
    case 5:
      attribute.tensor = readTensorProto(reader.bytes(field, what), what, reader);
      break;
    case 6:
    case 11:
      attribute.hasGraph = true;
      break;
    case 7:
      reader.floats(field, attribute.floats, 4, what);
      break;
    case 8:
      reader.integers(field, attribute.integers, what);
      break;
  }
}

function readTensorProto(bytes: Uint8Array, where: string, reader: MessageReader): TensorProto {
  const tensor: TensorProto = {
    name: '',
    dims: [],
    type: 0,
    raw: null,
    floats: [],
    integers: [],
    external: null,
  };
  const external = new Map<string, string>();
  let isExternal = false;
  const what = `a tensor (${where})`;
  for (const field of reader.fields(bytes, what)) {
    if (field.number === 1) reader.integers(field, tensor.dims, what);
    else if (field.number === 2) tensor.type = reader.integer(field, what);
    else if (field.number === 4) reader.floats(field, tensor.floats, 4, what);
    else if (field.number === 10) reader.floats(field, tensor.floats, 8, what);
    else if ([5, 7, 11].includes(field.number)) reader.integers(field, tensor.integers, what);
    else if (field.number === 8) tensor.name = reader.text(field, what);
    else if (field.number === 9) tensor.raw = reader.bytes(field, what);
    else if (field.number === 13) readEntry(reader.bytes(field, what), external, reader);
    else if (field.number === 14) isExternal = reader.integer(field, what) === 1;
  }
  if (isExternal) tensor.external = external;
  return tensor;
}

function readEntry(bytes: Uint8Array, entries: Map<string, string>, reader: MessageReader): void {
  let key = '';
  let value = '';
  for (const field of reader.fields(bytes, 'an entry of external_data')) {
    if (field.number === 1) key = reader.text(field, 'an entry of external_data');
    if (field.number === 2) value = reader.text(field, 'an entry of external_data');
  }
  entries.set(key, value);
}

function readValueInfo(bytes: Uint8Array, reader: MessageReader): ValueInfoProto {
  const what = 'an input or output';
  const info: ValueInfoProto = { name: '', type: null, shape: null };
  for (const field of reader.fields(bytes, what)) {
    if (field.number === 1) info.name = reader.text(field, what);
    if (field.number !== 2) continue;
    for (const type of reader.fields(reader.bytes(field, what), what)) {
      if (type.number !== 1) continue;
      for (const part of reader.fields(reader.bytes(type, what), what)) {
        if (part.number === 1) info.type = reader.integer(part, what);
        if (part.number === 2) info.shape = readShape(reader.bytes(part, what), reader);
      }
    }
  }
  return info;
}

function readShape(bytes: Uint8Array, reader: MessageReader): (number | string)[] {
  const what = 'a shape';
  const shape: (number | string)[] = [];
  for (const field of reader.fields(bytes, what)) {
    if (field.number !== 1) continue;
    let size: number | string = '';
    for (const part of reader.fields(reader.bytes(field, what), what)) {
      if (part.number === 1) size = reader.integer(part, what);
      if (part.number === 2) size = reader.text(part, what);
    }
    shape.push(size);
  }
  return shape;
}
