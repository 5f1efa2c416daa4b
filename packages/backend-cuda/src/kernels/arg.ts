/** `ArgMax` and `ArgMin`. */
import { ArgMax, ArgMin, util } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packArgReduce } from '../device/params.js';
import { type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { product, THREADS, TYPE_CODE } from './axes.js';
import { type Lines, lanesFor } from './lanes.js';

export interface ArgReduceCall extends Lines {
  /** Device addresses: [outer, n, inner] and int32 [outer, inner]. */
  x: number;
  y: number;
  smallest: boolean;
  /** Default float32. */
  xType?: DeviceDataType;
}

/** Where along n the extreme lies, the first of equals; 0 where n is. NaN loses, but wins at place 0, as in TensorFlow.js. */
export function launchArgReduce(launcher: Launcher, call: ArgReduceCall): void {
  const { x, y, outer, n: length, inner, smallest, xType = 'float32' } = call;
  if (outer * inner === 0) return;
  if (length === 0) {
    launcher.fill32(y, 0, outer * inner);
    return;
  }
  const reduce = (n: number, candidates: number, to: number): void => {
    const { parts, blocks, ...lanes } = lanesFor({ outer, n, inner });
    const launch = (places: number) =>
      launcher.launch({
        kernel: xType === 'float32' ? 'arg_reduce_f32' : 'arg_reduce_int',
        grid: [blocks],
        threads: THREADS,
        params: packArgReduce({
          x,
          candidates,
          y: places,
          outer,
          n,
          inner,
          length,
          parts,
          ...lanes,
          smallest: smallest ? 1 : 0,
          xType: TYPE_CODE[xType],
        }),
      });
    if (parts === 1) {
      launch(to);
      return;
    }
    launcher.temporary(4 * outer * parts * inner, (places) => {
      launch(places);
      reduce(parts, places, to);
    });
  };
  reduce(length, 0, y);
}

function argKernel(kernelName: string, smallest: boolean): CudaKernel {
  return kernelConfig<{ axis: number }>(kernelName, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const { shape, dtype } = x;
    if (!isDeviceType(dtype)) return runOnHost(kernelName, call as unknown as KernelArguments);
    const axis = util.parseAxisParam(attrs.axis, [...shape])[0]!;
    const lines = {
      outer: product(shape.slice(0, axis)),
      n: shape[axis]!,
      inner: product(shape.slice(axis + 1)),
    };
    return backend.make([...shape.slice(0, axis), ...shape.slice(axis + 1)], 'int32', (y) => {
      const { address } = backend.tensor(x);
      launchArgReduce(backend, { x: address, y: y.address, ...lines, smallest, xType: dtype });
    });
  });
}

export const argKernels: readonly CudaKernel[] = [argKernel(ArgMax, false), argKernel(ArgMin, true)];
