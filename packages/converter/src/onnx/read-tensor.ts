/** Tensors of an ONNX file as numbers, from every type that convolutional networks are stored in. */
import { fromFloat16Bits } from '@dsconv/core';
import { elementCount } from '../graph/stored-weights.js';
import type { Constant } from './constant.js';
import type { TensorProto } from './proto.js';

type Kind = Constant['kind'];

/** What a number of `TensorProto.DataType` stands for. */
export interface TensorType {
  name: string;
  kind: Kind;
  bits: 4 | 8 | 16 | 32 | 64;
  /** One value out of little-endian bytes; for 4 bits out of one nibble. */
  read: (view: DataView, at: number) => number;
  /** One value out of int32_data, which holds bits of floats too. */
  fromInteger: (value: number) => number;
}

const same = (value: number): number => value;

function type(
  name: string,
  kind: Kind,
  bits: TensorType['bits'],
  read: TensorType['read'],
  fromInteger: TensorType['fromInteger'] = same,
): TensorType {
  return { name, kind, bits, read, fromInteger };
}

const bfloat16 = (bits: number): number => {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, (bits & 0xffff) * 0x10000);
  return view.getFloat32(0);
};

const TYPES: Readonly<Record<number, TensorType>> = {
  1: type('float32', 'float', 32, (view, at) => view.getFloat32(at, true)),
  2: type('uint8', 'int', 8, (view, at) => view.getUint8(at)),
  3: type('int8', 'int', 8, (view, at) => view.getInt8(at)),
  4: type('uint16', 'int', 16, (view, at) => view.getUint16(at, true)),
  5: type('int16', 'int', 16, (view, at) => view.getInt16(at, true)),
  6: type('int32', 'int', 32, (view, at) => view.getInt32(at, true)),
  7: type('int64', 'int', 64, (view, at) => Number(view.getBigInt64(at, true))),
  9: type('bool', 'bool', 8, (view, at) => (view.getUint8(at) ? 1 : 0)),
  10: type('float16', 'float', 16, (view, at) => fromFloat16Bits(view.getUint16(at, true)), fromFloat16Bits),
  11: type('double', 'float', 64, (view, at) => view.getFloat64(at, true)),
  12: type('uint32', 'int', 32, (view, at) => view.getUint32(at, true)),
  13: type('uint64', 'int', 64, (view, at) => Number(view.getBigUint64(at, true))),
  16: type('bfloat16', 'float', 16, (view, at) => bfloat16(view.getUint16(at, true)), bfloat16),
  21: type('uint4', 'int', 4, same as never),
  22: type('int4', 'int', 4, same as never),
};

/** Null for strings, complex numbers and eight-bit floats. */
export function typeOf(number: number): TensorType | null {
  return Object.hasOwn(TYPES, number) ? TYPES[number]! : null;
}

/** Names for messages. */
export function typeName(number: number): string {
  const others: Readonly<Record<number, string>> = {
    0: 'none',
    8: 'string',
    14: 'complex64',
    15: 'complex128',
  };
  return typeOf(number)?.name ?? others[number] ?? `number ${number}`;
}

/** @returns bytes that the values take in raw_data or in another file; null where the type or a dimension is none */
export function rawLength({ type: number, dims }: Pick<TensorProto, 'type' | 'dims'>): number | null {
  const found = typeOf(number);
  const count = elementCount(dims);
  if (!found || !dims.every((d) => Number.isSafeInteger(d) && d >= 0) || !Number.isSafeInteger(count)) {
    return null;
  }
  return Math.ceil((count * found.bits) / 8);
}

/**
 * The values of a tensor; float16, bfloat16 and double become float32.
 *
 * @returns a clause that says what is wrong where they cannot be read
 */
export function readTensor(tensor: TensorProto): Constant | string {
  const { dims, raw } = tensor;
  const found = typeOf(tensor.type);
  if (!found) return `has values of type ${typeName(tensor.type)}; expected floats, integers or booleans`;
  const length = rawLength(tensor);
  if (length === null) return `has the shape [${dims}]; expected non-negative sizes`;
  const count = elementCount(dims);
  const { kind } = found;
  if (raw) {
    if (raw.length !== length) {
      return `has ${raw.length} bytes for [${dims}] of ${found.name}; expected ${length}`;
    }
    const data = kind === 'float' ? rawFloats(raw, count, found) : rawIntegers(raw, count, found);
    return { kind, shape: dims, data, type: found.name };
  }
  const list = kind === 'float' && found.bits >= 32 ? tensor.floats : tensor.integers;
  if (found.bits === 4 && list.length === Math.ceil(count / 2)) {
    const bytes = Uint8Array.from(list);
    return { kind, shape: dims, data: rawIntegers(bytes, count, found), type: found.name };
  }
  if (list.length !== count) return `has ${list.length} values for [${dims}]; expected ${count}`;
  const data = kind === 'float' ? new Float32Array(count) : new Float64Array(count);
  for (let n = 0; n < count; n++)
    data[n] = kind === 'float' && found.bits >= 32 ? list[n]! : found.fromInteger(list[n]!);
  return { kind, shape: dims, data, type: found.name };
}

function rawFloats(raw: Uint8Array, count: number, found: TensorType): Float32Array {
  // Copied, as the bytes may lie at an odd offset. (Every machine that JavaScript runs on is little-endian.)
  if (found.name === 'float32') return new Float32Array(new Uint8Array(raw).buffer, 0, count);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const size = found.bits / 8;
  return Float32Array.from({ length: count }, (_, n) => found.read(view, n * size));
}

function rawIntegers(raw: Uint8Array, count: number, found: TensorType): Float64Array {
  const data = new Float64Array(count);
  if (found.bits === 4) {
    for (let n = 0; n < count; n++) {
      const nibble = (raw[n >> 1]! >> (4 * (n & 1))) & 15;
      data[n] = found.name === 'int4' && nibble > 7 ? nibble - 16 : nibble;
    }
    return data;
  }
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const size = found.bits / 8;
  for (let n = 0; n < count; n++) data[n] = found.read(view, n * size);
  return data;
}
