import { InvalidArgumentError } from '@dsconv/core';
import { DTYPES, METADATA_KEY, type SafeTensor } from './safetensors.js';

/** Where everything of a file will be, before a byte of it is written. */
export interface SafetensorsPlan {
  /** Bytes of the whole file. */
  byteLength: number;
  /** Bytes before the tensors: the length and the header. */
  headerLength: number;
  header: Uint8Array;
  /** Tensors in the order of the file; `begin` counts from the end of the header. */
  tensors: { name: string; tensor: SafeTensor; begin: number }[];
}

/**
 * Lays out a file: tensors of larger elements first and the header padded to 8 bytes with spaces, so that every tensor is aligned and a
 * reader need not copy.
 *
 * @throws InvalidArgumentError when a tensor's data does not match its dtype and shape
 */
export function planSafetensors(
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): SafetensorsPlan {
  const ordered = [...tensors].sort(([, a], [, b]) => DTYPES[b.dtype].size - DTYPES[a.dtype].size);
  const fields: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    fields.push(`"${METADATA_KEY}":{${pairs.join()}}`);
  }
  let reached = 0;
  const placed = ordered.map(([name, tensor]) => {
    checkTensor(name, tensor);
    const begin = reached;
    reached += tensor.data.byteLength;
    const entry = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, reached] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    return { name, tensor, begin };
  });
  const header = new TextEncoder().encode(`{${fields.join()}}`);
  const headerLength = 8 + Math.ceil(header.length / 8) * 8;
  return { byteLength: headerLength + reached, headerLength, header, tensors: placed };
}

/** The bytes of a safetensors file. Errors as {@link planSafetensors}. */
export function writeSafetensors(
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata?: ReadonlyMap<string, string>,
): Uint8Array {
  const plan = planSafetensors(tensors, metadata);
  const bytes = new Uint8Array(plan.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(plan.headerLength - 8), true);
  bytes.set(plan.header, 8);
  bytes.fill(0x20, 8 + plan.header.length, plan.headerLength);
  for (const { tensor, begin } of plan.tensors) {
    const { buffer, byteOffset, byteLength } = tensor.data;
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), plan.headerLength + begin);
  }
  return bytes;
}

function checkTensor(name: string, { dtype, shape, data }: SafeTensor): void {
  if (name === METADATA_KEY) {
    throw new InvalidArgumentError(`a tensor is named '${METADATA_KEY}'; expected any other name`);
  }
  const { array } = DTYPES[dtype];
  const count = shape.reduce((product, d) => product * d, 1);
  if (!(data instanceof array) || data.length !== count) {
    throw new InvalidArgumentError(
      `tensor '${name}' has ${data.length} elements in a ${data.constructor.name}; expected ${count} in a ${array.name}`,
    );
  }
}
