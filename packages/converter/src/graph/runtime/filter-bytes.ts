/**
 * A filter as one TensorFlow.js weight: a tensor of dtype 'string' and shape [5], whose elements are the bytes of the packed integers and of the
 * four shifters, an absent one empty. TensorFlow.js stores such an element as a length and the bytes and keeps the bytes as they are, so
 * that the weight takes the filter's bits on disk and in memory; every numeric dtype would take four bytes a value in memory.
 */
import { DSConvFilter, type DSConvFilterParts, InvalidFilterError, type StoredScales } from '@dsconv/core';

/** The elements of the weight, in order. */
export const FILTER_ELEMENTS = ['vqk', 'kds', 'kdsBias', 'cds', 'cdsBias'] as const;

/** What the node or layer that reads the weight says about it. */
export type FilterFormat = Pick<DSConvFilterParts, 'kind' | 'shape' | 'bits' | 'blockSize'>;

/** The elements of a filter's weight. Scales are little-endian, float16 as raw bits. */
export function filterToBytes(filter: DSConvFilter): Uint8Array[] {
  return FILTER_ELEMENTS.map((name) => {
    const data = name === 'vqk' ? filter.vqk : filter.stored(name)?.data;
    return data ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(0);
  });
}

/**
 * The filter of such a weight. It keeps `elements[0]`, not a copy.
 *
 * @param elements as {@link filterToBytes} gave them
 * @throws InvalidFilterError when their number or a length does not fit the format
 */
export function filterFromBytes(elements: readonly Uint8Array[], format: FilterFormat): DSConvFilter {
  if (elements.length !== FILTER_ELEMENTS.length) {
    throw new InvalidFilterError(
      `a stored filter has ${elements.length} elements; expected ${FILTER_ELEMENTS.length}`,
    );
  }
  const { kind, shape, blockSize } = format;
  const outputs = kind === 'depthwise' ? shape[2] * shape[3] : shape[3];
  const blocks = shape[0] * shape[1] * Math.ceil(shape[2] / blockSize) * shape[3];
  const [vqk, kds, kdsBias, cds, cdsBias] = elements as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  return new DSConvFilter({
    ...format,
    vqk,
    kds: scalesFrom(kds, blocks, 'kds'),
    kdsBias: scalesFrom(kdsBias, blocks, 'kdsBias'),
    cds: scalesFrom(cds, outputs, 'cds'),
    cdsBias: scalesFrom(cdsBias, outputs, 'cdsBias'),
  });
}

/** The length tells the format: two or four bytes a scale. Copied, since the bytes may lie at an odd offset. */
function scalesFrom(bytes: Uint8Array, count: number, name: string): StoredScales | undefined {
  if (bytes.length === 0) return undefined;
  const { buffer } = new Uint8Array(bytes);
  if (bytes.length === count * 2) return { format: 'float16', data: new Uint16Array(buffer) };
  if (bytes.length === count * 4) return { format: 'float32', data: new Float32Array(buffer) };
  throw new InvalidFilterError(
    `${name} has ${bytes.length} bytes; expected ${count * 2} or ${count * 4} for ${count} scales`,
  );
}
