/** `Cumsum`. */
import { Cumsum, util } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packCumsum } from '../device/params.js';
import { type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { gridFor, product, THREADS, TYPE_CODE } from './axes.js';
import type { Lines } from './lanes.js';

export interface CumsumCall extends Lines {
  /** Device addresses of [outer, n, inner]; y is float32 for float32, else int32. */
  x: number;
  y: number;
  exclusive: boolean;
  reverse: boolean;
  /** Default float32. */
  xType?: DeviceDataType;
}

/** With so many lines there is a thread for each; fewer long ones get a block each. */
const MANY_LINES = 4096;

/** Running sums along n. Lines of at most 256 elements, and many lines, are summed in the order of TensorFlow.js. */
export function launchCumsum(launcher: Launcher, call: CumsumCall): void {
  const { x, y, outer, n, inner, exclusive, reverse, xType = 'float32' } = call;
  const lines = outer * inner;
  if (lines * n === 0) return;
  const rows = n > THREADS && lines < MANY_LINES;
  launcher.launch({
    kernel: `cumsum_${rows ? 'row' : 'line'}_${xType === 'float32' ? 'f32' : 'int'}`,
    grid: rows ? [lines] : gridFor(launcher, lines),
    threads: THREADS,
    params: packCumsum({
      x,
      y,
      outer,
      n,
      inner,
      exclusive: exclusive ? 1 : 0,
      reverse: reverse ? 1 : 0,
      xType: TYPE_CODE[xType],
    }),
  });
}

interface CumsumAttributes {
  axis: number;
  exclusive: boolean;
  reverse: boolean;
}

export const cumsumKernels: readonly CudaKernel[] = [
  kernelConfig<CumsumAttributes>(Cumsum, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const { shape, dtype } = x;
    if (!isDeviceType(dtype) || shape.length === 0) {
      return runOnHost(Cumsum, call as unknown as KernelArguments);
    }
    const axis = util.parseAxisParam(attrs.axis, [...shape])[0]!;
    return backend.make(shape, dtype === 'bool' ? 'int32' : dtype, (y) =>
      launchCumsum(backend, {
        x: backend.tensor(x).address,
        y: y.address,
        outer: product(shape.slice(0, axis)),
        n: shape[axis]!,
        inner: product(shape.slice(axis + 1)),
        exclusive: attrs.exclusive,
        reverse: attrs.reverse,
        xType: dtype,
      }),
    );
  }),
];
