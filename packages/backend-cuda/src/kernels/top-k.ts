/** `TopK`. */
import { TopK } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packTopK } from '../device/params.js';
import { type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { powerOfTwo, product, THREADS, TYPE_CODE } from './axes.js';

/** Keys of 8 bytes that a block sorts at once. */
const MAX_KEYS = 4096;

/** Fewer are not worth a round. */
const LEAST_KEYS = 1024;

export interface TopKCall {
  /** Device addresses: [rows, length], [rows, k], int32 [rows, k]. */
  x: number;
  values: number;
  indices: number;
  rows: number;
  length: number;
  k: number;
  /** Of x and values. */
  type: DeviceDataType;
}

/** Whether rows of that length can be served: any k of at most MAX_KEYS, half of that of longer rows. */
export const servesTopK = (length: number, k: number): boolean => length <= MAX_KEYS || k <= MAX_KEYS / 2;

/** The k largest of each row, in order, the first of equals first. NaN counts as the largest. */
export function launchTopK(
  launcher: Launcher,
  { x, values, indices, rows, length, k, type }: TopKCall,
): void {
  if (rows * k === 0) return;
  const rounds = Math.max(LEAST_KEYS, 2 * powerOfTwo(k));
  // A short row is one round; a long one keeps half of the keys from round to round.
  const capacity = length <= MAX_KEYS ? Math.max(2, powerOfTwo(length)) : rounds;
  launcher.launch({
    kernel: 'top_k',
    grid: [rows],
    threads: THREADS,
    sharedBytes: 8 * capacity,
    params: packTopK({ x, values, indices, rows, length, k, capacity, type: TYPE_CODE[type] }),
  });
}

export const topKKernels: readonly CudaKernel[] = [
  kernelConfig<{ k: number; sorted: boolean }>(TopK, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const { shape, dtype } = x;
    const { k } = attrs;
    const length = shape.at(-1) ?? 1;
    if (!isDeviceType(dtype) || !servesTopK(length, k)) {
      return runOnHost(TopK, call as unknown as KernelArguments);
    }
    const leading = shape.slice(0, -1);
    const indices = backend.output([...leading, k], 'int32');
    try {
      const values = backend.make([...leading, k], dtype, (to) =>
        launchTopK(backend, {
          x: backend.tensor(x).address,
          values: to.address,
          indices: backend.tensor(indices).address,
          rows: product(leading),
          length,
          k,
          type: dtype,
        }),
      );
      return [values, indices];
    } catch (error) {
      backend.disposeData(indices.dataId);
      throw error;
    }
  }),
];
