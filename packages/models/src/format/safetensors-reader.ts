import { FileFormatError } from '../errors.js';
import { type Json, JsonError, type JsonObject, parseJson, shorten } from './json.js';
import {
  DTYPES,
  type Dtype,
  MAX_HEADER_LENGTH,
  METADATA_KEY,
  type SafeTensors,
  type TensorData,
} from './safetensors.js';

/** An entry of the header that has been checked. */
interface Entry {
  name: string;
  dtype: Dtype;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * Reads a safetensors file. The header is checked whole before any tensor is touched: lengths, JSON, dtypes, shapes, offsets, overlaps, gaps,
 * duplicate names, bytes left over. What is allocated is bounded by the size of the file.
 *
 * @param bytes the file
 * @param source its name, for errors
 * @throws FileFormatError
 */
export function readSafetensors(bytes: Uint8Array, source: string): SafeTensors {
  const headerLength = readHeaderLength(bytes, source);
  const header = readHeader(bytes.subarray(8, 8 + headerLength), source);
  const dataLength = bytes.length - 8 - headerLength;
  const metadata = readMetadata(header.get(METADATA_KEY), source);
  const entries: Entry[] = [];
  for (const [name, value] of header) {
    if (name !== METADATA_KEY) entries.push(readEntry(name, value, source));
  }
  checkLayout(entries, dataLength, source);
  const tensors: SafeTensors['tensors'] = new Map();
  for (const { name, dtype, shape, begin, end } of entries) {
    const start = 8 + headerLength + begin;
    tensors.set(name, { dtype, shape, data: view(bytes, dtype, start, end - begin) });
  }
  return { tensors, metadata };
}

function readHeaderLength(bytes: Uint8Array, source: string): number {
  if (bytes.length < 8) {
    throw new FileFormatError(
      source,
      `has ${bytes.length} bytes; expected a safetensors file, which starts with 8 bytes of header length`,
    );
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  const most = Math.min(bytes.length - 8, MAX_HEADER_LENGTH);
  if (length < 2n || length > BigInt(most)) {
    throw new FileFormatError(
      source,
      `the header length is ${length}; expected 2 to ${most} in a safetensors file of ${bytes.length} bytes`,
    );
  }
  return Number(length);
}

function readHeader(bytes: Uint8Array, source: string): JsonObject {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FileFormatError(source, 'the header is not UTF-8; expected JSON');
  }
  if (!text.startsWith('{')) {
    throw new FileFormatError(
      source,
      `the header starts with ${JSON.stringify(text[0])}; expected a JSON object`,
    );
  }
  return parseObject(text, 'the header', source);
}

/** Parses JSON that must be an object, with errors that name the file. */
export function parseObject(text: string, what: string, source: string): JsonObject {
  const value = parseJsonOf(text, what, source);
  if (!(value instanceof Map)) {
    throw new FileFormatError(source, `${what} is ${describe(value)}; expected a JSON object`);
  }
  return value;
}

/** Parses JSON with errors that name the file. */
export function parseJsonOf(text: string, what: string, source: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) throw new FileFormatError(source, `${what} ${error.message}`);
    throw error;
  }
}

function readMetadata(value: Json | undefined, source: string): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === undefined) return metadata;
  if (!(value instanceof Map)) {
    throw new FileFormatError(source, `${METADATA_KEY} is ${describe(value)}; expected an object of strings`);
  }
  for (const [key, text] of value) {
    if (typeof text !== 'string') {
      throw new FileFormatError(
        source,
        `${METADATA_KEY}.${shorten(key)} is ${describe(text)}; expected a string`,
      );
    }
    metadata.set(key, text);
  }
  return metadata;
}

function readEntry(name: string, value: Json, source: string): Entry {
  const fail = (problem: string): never => {
    throw new FileFormatError(source, `tensor '${shorten(name)}' ${problem}`);
  };
  if (!(value instanceof Map)) return fail(`is ${describe(value)}; expected an object`);
  for (const key of value.keys()) {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') {
      return fail(`has a field '${shorten(key)}'; expected dtype, shape and data_offsets`);
    }
  }
  const dtype = value.get('dtype');
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPES, dtype)) {
    return fail(`has dtype ${describe(dtype)}; expected one of ${Object.keys(DTYPES).join(', ')}`);
  }
  const shape = value.get('shape');
  if (!isNaturals(shape)) return fail(`has shape ${describe(shape)}; expected non-negative integers`);
  const offsets = value.get('data_offsets');
  if (!isNaturals(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    return fail(`has data_offsets ${describe(offsets)}; expected [begin, end] with begin <= end`);
  }
  const [begin, end] = offsets as [number, number];
  const { size } = DTYPES[dtype as Dtype];
  const expected = elementCount(shape) * size;
  if (end - begin !== expected) {
    return fail(
      `has ${end - begin} bytes; expected ${expected} for ${dtype} of shape [${shorten(shape.join())}]`,
    );
  }
  return { name, dtype: dtype as Dtype, shape, begin, end };
}

function isNaturals(value: Json | undefined): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);
}

/** The product of a shape; past 2^53 it only has to be larger than any file. */
function elementCount(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, d) => product * d, 1);
}

/** Tensors must follow each other from 0 to the end of the data; empty ones may lie anywhere a tensor starts or ends. */
function checkLayout(entries: readonly Entry[], dataLength: number, source: string): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let reached = 0;
  for (const { name, begin, end } of sorted) {
    if (begin !== reached) {
      throw new FileFormatError(
        source,
        `tensor '${shorten(name)}' begins at ${begin}; expected ${reached}, where the tensor before it ends`,
      );
    }
    reached = end;
  }
  if (reached !== dataLength) {
    throw new FileFormatError(
      source,
      `has ${dataLength} bytes of tensors; expected ${reached}${dataLength < reached ? ' (the file is truncated)' : ''}`,
    );
  }
}

function view(bytes: Uint8Array, dtype: Dtype, start: number, length: number): TensorData {
  const { size, array } = DTYPES[dtype];
  const offset = bytes.byteOffset + start;
  if (offset % size === 0) return new array(bytes.buffer as ArrayBuffer, offset, length / size);
  return new array(bytes.slice(start, start + length).buffer as ArrayBuffer);
}

/** A JSON value for a message. */
export function describe(value: Json | undefined): string {
  if (value === undefined) return 'missing';
  if (value instanceof Map) return 'an object';
  return shorten(JSON.stringify(value, (_, part) => (part instanceof Map ? '{…}' : part)));
}
