/**
 * The safetensors format: `u64` little-endian header length, a JSON header, the tensors' bytes.
 *
 *     { "__metadata__": { string: string }, name: { "dtype": "F32", "shape": [...], "data_offsets": [begin, end] } }
 *
 * Offsets count from the end of the header. Tensors fill the data without gaps or overlaps.
 * Source: https://github.com/huggingface/safetensors
 */

/** Element types by their safetensors names: bytes per element and the typed array that holds them. F16 and BF16 are raw 16-bit words. */
export const DTYPES = {
  BOOL: { size: 1, array: Uint8Array },
  U8: { size: 1, array: Uint8Array },
  I8: { size: 1, array: Int8Array },
  U16: { size: 2, array: Uint16Array },
  I16: { size: 2, array: Int16Array },
  F16: { size: 2, array: Uint16Array },
  BF16: { size: 2, array: Uint16Array },
  U32: { size: 4, array: Uint32Array },
  I32: { size: 4, array: Int32Array },
  F32: { size: 4, array: Float32Array },
  F64: { size: 8, array: Float64Array },
  I64: { size: 8, array: BigInt64Array },
  U64: { size: 8, array: BigUint64Array },
} as const;

export type Dtype = keyof typeof DTYPES;

export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** One tensor of a file. */
export interface SafeTensor {
  dtype: Dtype;
  shape: readonly number[];
  /** Elements in row-major order; a view into the file's bytes where their offset is aligned, else a copy. */
  data: TensorData;
}

/** A whole file. */
export interface SafeTensors {
  tensors: Map<string, SafeTensor>;
  metadata: Map<string, string>;
}

/** The largest header the format's reference implementation accepts, in bytes. */
export const MAX_HEADER_LENGTH = 100_000_000;

export const METADATA_KEY = '__metadata__';
