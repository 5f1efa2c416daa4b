/** Builds an ONNX model: nodes, constants, one float32 input, float32 outputs. Field numbers are those of onnx.proto3. */
import { toFloat16Bits } from '@dsconv/core';
import { Message } from './protobuf.mjs';

/** TensorProto.DataType */
export const TYPE = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 };

/** AttributeProto.AttributeType */
const ATTRIBUTE = { integer: 2, string: 3, integers: 7 };

/** Arrays of one number, by type. */
const ARRAYS = {
  [TYPE.float]: (value) => Float32Array.of(value),
  [TYPE.float16]: (value) => Uint16Array.of(toFloat16Bits(value)),
  [TYPE.int8]: (value) => Int8Array.of(value),
  [TYPE.uint8]: (value) => Uint8Array.of(value),
};

const IR_VERSION = 8;
const OPSET = 17;
/** onnxruntime's own operators: QLinearAdd, QLinearGlobalAveragePool, QGemm. */
export const MICROSOFT = 'com.microsoft';

export class Graph {
  #nodes = [];
  #constants = [];
  #inputs = [];
  #outputs = [];
  #count = 0;
  /** Constants that many nodes share, by their value. */
  #shared = new Map();

  /** @returns {string} a name that nothing else has */
  #name(prefix) {
    return `${prefix}_${this.#count++}`;
  }

  input(name, shape) {
    this.#inputs.push(valueInfo(name, shape));
    return name;
  }

  output(name, shape) {
    this.#outputs.push(valueInfo(name, shape));
  }

  /** @param {ArrayBufferView} values little-endian, row-major */
  constant(type, shape, values) {
    const name = this.#name('constant');
    const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.#constants.push(
      new Message()
        .repeated(shape, (message, size) => message.integer(1, size))
        .integer(2, type)
        .string(8, name)
        .bytes(9, raw),
    );
    return name;
  }

  /** Numbers as float16. @param {Float32Array} values */
  half(shape, values) {
    return this.constant(TYPE.float16, shape, Uint16Array.from(values, toFloat16Bits));
  }

  /** One number of a type of {@link ARRAYS}. */
  scalar(type, value) {
    const key = `${type} ${value}`;
    if (!this.#shared.has(key)) {
      const values = ARRAYS[type](value);
      this.#shared.set(key, this.constant(type, [], values));
    }
    return this.#shared.get(key);
  }

  /**
   * @param {string[]} inputs names; '' leaves an optional one out
   * @param {Record<string, number | number[] | string>} attributes whole numbers are integers
   * @returns {string} name of the only output
   */
  node(operator, inputs, attributes = {}, domain = '') {
    const output = this.#name(operator);
    this.#nodes.push(
      new Message()
        .repeated(inputs, (message, name) => message.string(1, name))
        .string(2, output)
        .string(3, `node_${output}`)
        .string(4, operator)
        .repeated(Object.entries(attributes), (message, entry) => message.message(5, attribute(entry)))
        .string(7, domain),
    );
    return output;
  }

  /** @returns {Uint8Array} the file */
  encode() {
    const graph = new Message()
      .repeated(this.#nodes, (message, node) => message.message(1, node))
      .string(2, 'network')
      .repeated(this.#constants, (message, constant) => message.message(5, constant))
      .repeated(this.#inputs, (message, input) => message.message(11, input))
      .repeated(this.#outputs, (message, output) => message.message(12, output));
    return new Message()
      .integer(1, IR_VERSION)
      .message(7, graph)
      .message(8, new Message().string(1, '').integer(2, OPSET))
      .message(8, new Message().string(1, MICROSOFT).integer(2, 1))
      .finish();
  }
}

function attribute([name, value]) {
  const message = new Message().string(1, name);
  if (Array.isArray(value)) {
    return message.repeated(value, (list, item) => list.integer(8, item)).integer(20, ATTRIBUTE.integers);
  }
  if (typeof value === 'string') return message.string(4, value).integer(20, ATTRIBUTE.string);
  return message.integer(3, value).integer(20, ATTRIBUTE.integer);
}

function valueInfo(name, shape) {
  const dimensions = new Message().repeated(shape, (message, size) =>
    message.message(1, new Message().integer(1, size)),
  );
  const tensor = new Message().integer(1, TYPE.float).message(2, dimensions);
  return new Message().string(1, name).message(2, new Message().message(1, tensor));
}
