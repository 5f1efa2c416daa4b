/** `Sum`, `Mean`, `Prod`, `Max`, `Min`, `All`, `Any` along any axes. */
import { All, Any, Max, Mean, Min, Prod, Sum, util } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packReduce } from '../device/params.js';
import { type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { product, THREADS, TYPE_CODE } from './axes.js';
import { launchFill } from './fill.js';
import { type Lines, lanesFor } from './lanes.js';
import { launchUnary } from './unary.js';

/** ReduceCode of kernels/params/reduce.h; a mean is a sum that is divided. */
const REDUCE_CODE = { sum: 0, mean: 0, prod: 1, max: 2, min: 3, all: 4, any: 5 } as const;
export type Reduction = keyof typeof REDUCE_CODE;

export interface ReduceCall extends Lines {
  operation: Reduction;
  /** Device addresses: [outer, n, inner] and [outer, inner]. */
  x: number;
  y: number;
  /** Default float32. A mean is of float32. */
  xType?: DeviceDataType;
  /** Default that of x. */
  yType?: DeviceDataType;
  /** What the mean divides by. Default n. */
  divisor?: number;
}

/** What nothing reduces to, as in TensorFlow.js's CPU kernels. */
function ofNothing(operation: Reduction, yType: DeviceDataType): number {
  if (operation === 'prod') return 1;
  return (operation === 'max' || operation === 'min') && yType === 'float32' ? Number.NaN : 0;
}

/** y[outer, inner] = reduction of x[outer, n, inner] along n. Every order of summation follows from the three sizes. */
export function launchReduce(launcher: Launcher, call: ReduceCall): void {
  const { operation, x, y, outer, n, inner, xType = 'float32', yType = xType } = call;
  if (outer * inner === 0) return;
  if (n === 0) {
    launchFill(launcher, y, outer * inner, ofNothing(operation, yType), yType);
    return;
  }
  const divisor = operation === 'mean' ? (call.divisor ?? n) : 1;
  const { parts, blocks, ...lanes } = lanesFor(call);
  const launch = (to: number, type: DeviceDataType, by: number) =>
    launcher.launch({
      kernel: xType === 'float32' ? 'reduce_f32' : 'reduce_int',
      grid: [blocks],
      threads: THREADS,
      params: packReduce({
        x,
        y: to,
        outer,
        n,
        inner,
        parts,
        ...lanes,
        operation: REDUCE_CODE[operation],
        xType: TYPE_CODE[xType],
        yType: TYPE_CODE[type],
        divisor: by,
      }),
    });
  if (parts === 1) {
    launch(y, yType, divisor);
    return;
  }
  const partType = xType === 'float32' ? 'float32' : 'int32';
  launcher.temporary(4 * outer * parts * inner, (partial) => {
    launch(partial, partType, 1);
    launchReduce(launcher, {
      operation,
      x: partial,
      y,
      outer,
      n: parts,
      inner,
      xType: partType,
      yType,
      divisor,
    });
  });
}

/** A run of axes that are all reduced, or none of them. */
interface Run {
  size: number;
  reduced: boolean;
}

function runsOf(shape: readonly number[], axes: readonly number[]): Run[] {
  const runs: Run[] = [];
  shape.forEach((size, axis) => {
    const reduced = axes.includes(axis);
    const last = runs.at(-1);
    if (last?.reduced === reduced) last.size *= size;
    else runs.push({ size, reduced });
  });
  return runs;
}

/** Reduces along axes in any places, one run of them after the other. */
export function launchReduceAxes(
  launcher: Launcher,
  call: Omit<ReduceCall, keyof Lines>,
  shape: readonly number[],
  axes: readonly number[],
): void {
  const { operation, x, y, xType = 'float32', yType = xType } = call;
  const runs = runsOf(shape, axes);
  const n = product(axes.map((axis) => shape[axis]!));
  const divisor = operation === 'mean' ? (call.divisor ?? n) : 1;
  const last = runs.map(({ reduced }) => reduced).lastIndexOf(true);
  const sizes = runs.map(({ size }) => size);
  const lines = {
    outer: product(sizes.slice(0, Math.max(last, 0))),
    n: last < 0 ? 1 : sizes[last]!,
    inner: last < 0 ? product(sizes) : product(sizes.slice(last + 1)),
  };
  const others = runs.filter(({ reduced }) => reduced).length - 1;
  if (others <= 0 || n === 0) {
    // Where one of several runs is empty, all of them together are.
    const whole =
      n === 0 ? { outer: 1, n: 0, inner: product(runs.map((run) => (run.reduced ? 1 : run.size))) } : lines;
    launchReduce(launcher, { operation, x, y, ...whole, xType, yType, divisor });
    return;
  }
  const partType = xType === 'float32' ? 'float32' : 'int32';
  const rest = [lines.outer, lines.inner];
  launcher.temporary(4 * product(rest), (partial) => {
    launchReduce(launcher, {
      operation: operation === 'mean' ? 'sum' : operation,
      x,
      y: partial,
      ...lines,
      xType,
      yType: partType,
    });
    const remaining = [...sizes.slice(0, last), lines.inner];
    const remainingAxes = runs.slice(0, last).flatMap(({ reduced }, axis) => (reduced ? [axis] : []));
    launchReduceAxes(
      launcher,
      { operation, x: partial, y, xType: partType, yType, divisor },
      remaining,
      remainingAxes,
    );
  });
}

interface ReduceAttributes {
  axis?: number | number[];
  /** Of `Max`. */
  reductionIndices?: number | number[];
  keepDims: boolean;
}

/** Shape of what is left of a tensor, with the reduced axes as 1 or without them. */
function reducedShape(shape: readonly number[], axes: readonly number[], keepDims: boolean): number[] {
  return keepDims
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));
}

/** @param result type of the result by that of the input; null leaves it to the CPU */
function reduceKernel(
  kernelName: string,
  operation: Reduction,
  result: (type: DeviceDataType) => DeviceDataType | null,
): CudaKernel {
  return kernelConfig<ReduceAttributes>(kernelName, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const xType = x.dtype;
    const yType = isDeviceType(xType) ? result(xType) : null;
    if (!isDeviceType(xType) || yType === null)
      return runOnHost(kernelName, call as unknown as KernelArguments);
    const axes = util.parseAxisParam(attrs.axis ?? attrs.reductionIndices!, [...x.shape]);
    return backend.make(reducedShape(x.shape, axes, attrs.keepDims), yType, (y) => {
      const { address, size } = backend.tensor(x);
      const to = { operation, y: y.address, yType };
      if (operation !== 'mean' || xType === 'float32') {
        launchReduceAxes(backend, { ...to, x: address, xType }, x.shape, axes);
        return;
      }
      backend.temporary(4 * size, (floats) => {
        launchUnary(backend, { operation: 'copy', x: address, y: floats, count: size, xType, yType });
        launchReduceAxes(backend, { ...to, x: floats }, x.shape, axes);
      });
    });
  });
}

const same = (type: DeviceDataType) => type;
/** Sums of truths are counts. */
const counted = (type: DeviceDataType) => (type === 'bool' ? 'int32' : type);
const truth = (type: DeviceDataType) => (type === 'bool' ? type : null);

export const reduceKernels: readonly CudaKernel[] = [
  reduceKernel(Sum, 'sum', counted),
  reduceKernel(Mean, 'mean', () => 'float32'),
  reduceKernel(Prod, 'prod', counted),
  reduceKernel(Max, 'max', same),
  reduceKernel(Min, 'min', same),
  reduceKernel(All, 'all', truth),
  reduceKernel(Any, 'any', truth),
];
