/** Filters on a device: packed once at first use, kept as long as the filter lives. */
import { type DSConvFilter, FilterCache } from '@dsconv/core';
import type { CudaBackend } from '../backend.js';
import { type ContainerBits, packFilter } from '../layout/pack-filter.js';

/** A filter of small integers on the device. */
export interface PackedDeviceFilter {
  form: 'fragments' | 'rows';
  bits: ContainerBits;
  weightBytes: number;
  /** Device addresses; shifts is 0 where there are none. */
  weights: number;
  scales: number;
  shifts: number;
  halfScales: boolean;
  scaleRows: number;
  paddedOutputs: number;
  largestScale: number;
}

/** Float weights on the device, HWIO (`[kh, kw, C, multiplier]`): for float activations. */
export interface FloatDeviceFilter {
  form: 'float';
  weights: number;
}

export type DeviceFilter = PackedDeviceFilter | FloatDeviceFilter;

/** Where filters are uploaded to: the backend, or a plan's own memory. */
export type Uploader = Pick<CudaBackend, 'uploaded' | 'free'>;

/** Packs a filter and uploads it. With float activations (`activationBits` null) it becomes the float weights that it stands for. */
export function uploadFilter(
  to: Uploader,
  filter: DSConvFilter,
  groups: number,
  activationBits: number | null,
): DeviceFilter {
  if (activationBits === null) return { form: 'float', weights: to.uploaded(filter.dequantize()) };
  const { form, bits, weights, scales, scaleRows, shifts, paddedOutputs, largestScale } = packFilter(
    filter,
    groups,
  );
  return {
    form,
    bits,
    weightBytes: weights.byteLength,
    weights: to.uploaded(weights),
    scales: to.uploaded(scales),
    shifts: shifts ? to.uploaded(shifts) : 0,
    halfScales: scales instanceof Uint16Array,
    scaleRows,
    paddedOutputs,
    largestScale,
  };
}

export function freeFilter(to: Uploader, filter: DeviceFilter): void {
  to.free(filter.weights);
  if (filter.form === 'float') return;
  to.free(filter.scales);
  if (filter.shifts !== 0) to.free(filter.shifts);
}

interface Caches {
  packed: FilterCache<DeviceFilter>;
  float: FilterCache<DeviceFilter>;
}

const caches = new WeakMap<CudaBackend, Caches>();

/** The filter on the backend's device. @throws DisposedError when the filter was disposed */
export function deviceFilter(
  backend: CudaBackend,
  filter: DSConvFilter,
  groups: number,
  activationBits: number | null,
): DeviceFilter {
  let found = caches.get(backend);
  if (!found) {
    const cache = (bits: number | null) =>
      new FilterCache<DeviceFilter>(
        (each, count) => uploadFilter(backend, each, count, bits),
        (packed) => freeFilter(backend, packed),
      );
    found = { packed: cache(8), float: cache(null) };
    caches.set(backend, found);
  }
  return (activationBits === null ? found.float : found.packed).get(filter, groups);
}
