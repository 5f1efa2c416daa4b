import type { DSConvFilter } from '@dsconv/core';
import { engine, type Tensor } from '@tensorflow/tfjs-core';
import { type FilterFormat, filterFromBytes } from './filter-bytes.js';

const filters = new WeakMap<Tensor, DSConvFilter>();

/**
 * The filter that a weight holds, made at the first use. It shares the packed integers with the weight, so nothing is there twice, and lives as long:
 * disposing the weight, as `model.dispose()` does, disposes the filter and every backend's packing of it.
 *
 * @param weight dtype 'string', shape [5], see {@link filterFromBytes}
 * @throws InvalidFilterError when the bytes do not fit the format
 */
export function storedFilter(weight: Tensor, format: FilterFormat): DSConvFilter {
  const known = filters.get(weight);
  if (known) return known;
  // `weight.dataSync()` would decode the bytes as text.
  const elements = engine().readSync(weight.dataId) as unknown as Uint8Array[];
  const filter = filterFromBytes(elements, format);
  filters.set(weight, filter);
  const dispose = weight.dispose.bind(weight);
  weight.dispose = () => {
    filter.dispose();
    dispose();
  };
  return filter;
}
