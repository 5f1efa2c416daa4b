/**
 * The fields of one protocol buffer message (https://protobuf.dev/programming-guides/encoding). Nested messages are handed on as bytes, so that nothing
 * here calls itself: how deep a file is read is decided by who reads it.
 */

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { FileFormatError } from '@dsconv/models';

/** One field as it lies in the file. */
export interface Field {
  number: number;
  /** Numbers as they are; the rest as the bytes of a string, a message or a packed list, which are not copied. */
  value: number | Uint8Array;
}

/** Reads messages of one file; every error names the file and what was being read. */
export class MessageReader {
  constructor(private readonly file: string) {}

  /**
   * @param what such as `a node`, for errors
   * @throws FileFormatError when a field runs over the end, or is of a kind that ONNX has not
   */
  *fields(bytes: Uint8Array, what: string): Generator<Field> {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const at = reader.pos;
      let field: Field;
      try {
        const [number, wire] = reader.tag();
        field = { number, value: readValue(reader, wire) };
      } catch (error) {
        throw this.error(
          `${what} is damaged at byte ${at} of its ${bytes.length} (${(error as Error).message}); expected an ONNX model`,
        );
      }
      yield field;
    }
  }

  integer({ number, value }: Field, what: string): number {
    if (typeof value === 'number') return value;
    throw this.error(`field ${number} of ${what} is bytes; expected an integer`);
  }

  float(field: Field, what: string): number {
    return this.integer(field, what);
  }

  bytes({ number, value }: Field, what: string): Uint8Array {
    if (typeof value !== 'number') return value;
    throw this.error(`field ${number} of ${what} is a number; expected bytes`);
  }

  text(field: Field, what: string): string {
    const bytes = this.bytes(field, what);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      throw this.error(`field ${field.number} of ${what} is no UTF-8; expected a string`);
    }
  }

  /** Adds what the field holds, one integer or a packed list of them. */
  integers({ value, number }: Field, list: number[], what: string): void {
    if (typeof value === 'number') {
      list.push(value);
      return;
    }
    const reader = new BinaryReader(value);
    try {
      while (reader.pos < reader.len) list.push(Number(reader.int64()));
    } catch (error) {
      throw this.error(`field ${number} of ${what} is damaged (${(error as Error).message})`);
    }
  }

  /** Adds what the field holds, one number or a packed list of `size` bytes each. */
  floats({ value, number }: Field, list: number[], size: 4 | 8, what: string): void {
    if (typeof value === 'number') {
      list.push(value);
      return;
    }
    if (value.length % size !== 0) {
      throw this.error(
        `field ${number} of ${what} has ${value.length} bytes; expected a multiple of ${size}`,
      );
    }
    const view = new DataView(value.buffer, value.byteOffset, value.length);
    for (let at = 0; at < value.length; at += size) {
      list.push(size === 4 ? view.getFloat32(at, true) : view.getFloat64(at, true));
    }
  }

  error(problem: string): FileFormatError {
    return new FileFormatError(this.file, problem);
  }
}

/** Integers beyond 2⁵³ lose their last bits: ONNX has such numbers only as "up to the end". */
function readValue(reader: BinaryReader, wire: WireType): number | Uint8Array {
  switch (wire) {
    case WireType.Varint:
      return Number(reader.int64());
    case WireType.Bit32:
      return reader.float();
    case WireType.Bit64:
      return reader.double();
    case WireType.LengthDelimited:
      return reader.bytes();
    default:
      throw new Error('it has a group');
  }
}

/** Tags with which the fields of a ModelProto begin: numbers 1 to 8 in the kinds that they have, graph and opset_import among them. */
const FIRST_BYTES = [0x08, 0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42];

/** True for an ONNX model, damaged or not, and false for JSON or anything else: told by the tags at the top, without reading what they hold. */
export function looksLikeOnnx(bytes: Uint8Array): boolean {
  if (!FIRST_BYTES.includes(bytes[0] ?? 0)) return false;
  let hasGraph = false;
  try {
    for (const { number, value } of new MessageReader('').fields(bytes, 'the model')) {
      if (number > 100) return false;
      hasGraph ||= number === 7 && typeof value !== 'number';
    }
  } catch {
    // Of a damaged one the beginning is left: a small ir_version, and the tag of another field.
    const [first, version, next] = bytes as unknown as [number, number, number];
    return first === 0x08 && version < 0x80 && FIRST_BYTES.includes(next);
  }
  return hasGraph;
}
