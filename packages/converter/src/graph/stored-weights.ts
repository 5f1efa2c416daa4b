/** Weights of a TensorFlow.js model as they lie in its shards: float32, int32, bool, string, or floats quantized to 8 or 16 bits. */
import { fromFloat16Bits } from '@dsconv/core';
import type { JsonRecord } from '../json-values.js';

/** How floats (or int32) are stored in fewer bits: `value = stored * scale + min`, or the bits of a float16. */
export type WeightQuantization =
  | { dtype: 'uint8' | 'uint16'; scale: number; min: number }
  | { dtype: 'float16' };

/** One weight: what the manifest says, and the bytes as stored. */
export interface StoredWeight {
  name: string;
  shape: readonly number[];
  dtype: 'float32' | 'int32' | 'bool' | 'string' | 'complex64';
  quantization?: WeightQuantization | undefined;
  /** Other fields of the manifest's entry are kept for writing it back. */
  bytes: Uint8Array;
}

/** Bytes a value takes in a shard; strings have none fixed. */
export function storedValueSize({
  dtype,
  quantization,
}: Pick<StoredWeight, 'dtype' | 'quantization'>): number {
  if (quantization) return quantization.dtype === 'uint8' ? 1 : 2;
  if (dtype === 'bool') return 1;
  return dtype === 'complex64' ? 8 : 4;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, d) => product * d, 1);
}

/** The values as TensorFlow.js would have them, widened to float32; null for strings, booleans and complex numbers. */
export function weightValues(weight: StoredWeight): Float32Array | null {
  const { dtype, quantization, bytes } = weight;
  if (dtype !== 'float32' && dtype !== 'int32') return null;
  // Copied: the bytes may lie at an odd offset. A Buffer's own `slice` would not copy.
  const { buffer } = new Uint8Array(bytes);
  if (!quantization) {
    return dtype === 'float32' ? new Float32Array(buffer) : Float32Array.from(new Int32Array(buffer));
  }
  if (quantization.dtype === 'float16') return Float32Array.from(new Uint16Array(buffer), fromFloat16Bits);
  const { scale, min } = quantization;
  const stored = quantization.dtype === 'uint8' ? new Uint8Array(buffer) : new Uint16Array(buffer);
  const round = dtype === 'int32' ? Math.round : (value: number) => value;
  return Float32Array.from(stored, (value) => round(value * scale + min));
}

/** A float32 weight. */
export function floatWeight(name: string, shape: readonly number[], values: Float32Array): StoredWeight {
  return { name, shape, dtype: 'float32', bytes: bytesOf(values) };
}

/** An int32 weight. */
export function intWeight(name: string, shape: readonly number[], values: readonly number[]): StoredWeight {
  return { name, shape, dtype: 'int32', bytes: bytesOf(Int32Array.from(values)) };
}

/** A string weight of one element for each array of bytes: its length in four bytes, then the bytes. */
export function stringWeight(name: string, elements: readonly Uint8Array[]): StoredWeight {
  const bytes = new Uint8Array(elements.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const element of elements) {
    view.setUint32(at, element.length, true);
    bytes.set(element, at + 4);
    at += 4 + element.length;
  }
  return { name, shape: [elements.length], dtype: 'string', bytes };
}

/** An entry of the manifest. */
export function manifestEntry({ name, shape, dtype, quantization }: StoredWeight): JsonRecord {
  return { name, shape, dtype, ...(quantization ? { quantization } : {}) };
}

/** All weights one after the other. */
export function joinWeights(weights: Iterable<StoredWeight>): Uint8Array {
  const parts = [...weights].map(({ bytes }) => bytes);
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
