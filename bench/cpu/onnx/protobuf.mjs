/**
 * Writes protocol buffers, as far as an ONNX file needs them: see https://protobuf.dev/programming-guides/encoding. A hundred lines here spare
 * a dependency that would bring a parser and all of ONNX's schema.
 */

const VARINT = 0;
const BYTES = 2;
const FIXED32 = 5;

const text = new TextEncoder();

/** A message under construction: fields in the order of the calls. Absent values (null, undefined) write nothing. */
export class Message {
  /** @type {Uint8Array[]} */
  #parts = [];
  #length = 0;

  get length() {
    return this.#length;
  }

  /** int32, int64 or an enumeration. */
  integer(field, value) {
    if (value === null || value === undefined) return this;
    return this.#key(field, VARINT).#varint(BigInt.asUintN(64, BigInt(value)));
  }

  float(field, value) {
    if (value === null || value === undefined) return this;
    return this.#key(field, FIXED32).#append(new Uint8Array(Float32Array.of(value).buffer));
  }

  string(field, value) {
    if (value === null || value === undefined) return this;
    return this.bytes(field, text.encode(value));
  }

  /** @param {Uint8Array} value kept, not copied */
  bytes(field, value) {
    return this.#key(field, BYTES).#varint(BigInt(value.length)).#append(value);
  }

  /** @param {Message} value not to be changed afterwards */
  message(field, value) {
    this.#key(field, BYTES).#varint(BigInt(value.length));
    for (const part of value.#parts) this.#append(part);
    return this;
  }

  /** Calls `write` for each value: a repeated field. */
  repeated(values, write) {
    for (const value of values ?? []) write(this, value);
    return this;
  }

  finish() {
    const result = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      result.set(part, offset);
      offset += part.length;
    }
    return result;
  }

  #key(field, wireType) {
    return this.#varint(BigInt((field << 3) | wireType));
  }

  /** Seven bits a byte, the lowest first; the high bit says that another follows. */
  #varint(value) {
    const bytes = [];
    let rest = value;
    do {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      bytes.push(rest > 0n ? low | 0x80 : low);
    } while (rest > 0n);
    return this.#append(Uint8Array.from(bytes));
  }

  #append(part) {
    this.#parts.push(part);
    this.#length += part.length;
    return this;
  }
}
