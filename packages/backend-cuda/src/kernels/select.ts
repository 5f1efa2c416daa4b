/** `Select`, the kernel of `tf.where`. */
import { Select } from '@tensorflow/tfjs-core';
import { type CudaKernel, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packSelect } from '../device/params.js';
import { bytesPerElement, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { gridFor, MAX_COUNT, piecesOf, product, THREADS } from './axes.js';

export interface SelectCall {
  /** Device address: bool, one for each `inner` elements. */
  condition: number;
  t: number;
  e: number;
  y: number;
  count: number;
  inner: number;
  /** Of an element, 1 or 4. */
  bytes: number;
}

/** y = condition ? t : e. */
export function launchSelect(launcher: Launcher, call: SelectCall, limit = MAX_COUNT): void {
  const { inner, bytes } = call;
  if (call.count === 0) return;
  const axes = [
    { size: call.count / inner, strides: [inner, 1] },
    { size: inner, strides: [1, 0] },
  ];
  for (const { offsets, count } of piecesOf(axes, Math.max(limit, inner))) {
    const at = bytes * offsets[0]!;
    launcher.launch({
      kernel: 'select_elements',
      grid: gridFor(launcher, count),
      threads: THREADS,
      params: packSelect({
        condition: call.condition + offsets[1]!,
        t: call.t + at,
        e: call.e + at,
        y: call.y + at,
        count,
        inner,
        bytes,
      }),
    });
  }
}

export const selectKernels: readonly CudaKernel[] = [
  kernelConfig(Select, (call) => {
    const { inputs, backend } = call;
    const [condition, t, e] = [inputs.condition!, inputs.t!, inputs.e!];
    const type = t.dtype;
    const count = product(t.shape);
    const conditions = product(condition.shape);
    // A condition for each element, or for each entry along the first axis.
    const fits = conditions === 0 ? count === 0 : Number.isInteger(count / conditions);
    if (!isDeviceType(type) || e.dtype !== type || condition.dtype !== 'bool' || !fits) {
      return runOnHost(Select, call);
    }
    return backend.make(t.shape, type, (y) =>
      launchSelect(backend, {
        condition: backend.tensor(condition).address,
        t: backend.tensor(t).address,
        e: backend.tensor(e).address,
        y: y.address,
        count,
        inner: count === 0 ? 1 : count / conditions,
        bytes: bytesPerElement(type),
      }),
    );
  }),
];
