/** `Sum`, and `Mean` over other axes than height and width, along axes that lie side by side. */
import { type KernelFunc, Mean, Sum, type TensorInfo, util } from '@tensorflow/tfjs-core';
import { hasEngine, type KernelArguments, runCpuKernel } from './fallback.js';

export type ReductionArguments = KernelArguments<
  { x: TensorInfo },
  { axis?: number | number[]; keepDims?: boolean }
>;

/** A tensor as `[outer, middle, inner]`, the middle being what is reduced. */
interface Reduction {
  outer: number;
  middle: number;
  inner: number;
  shape: number[];
}

/** Null where the axes do not lie side by side. */
function reductionOf(
  shape: readonly number[],
  { axis, keepDims }: ReductionArguments['attrs'],
): Reduction | null {
  const axes = util.parseAxisParam(axis ?? shape.map((_, n) => n), [...shape]).sort((a, b) => a - b);
  if (axes.length === 0 || axes.some((a, n) => a !== axes[0]! + n)) return null;
  const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
  const [first, last] = [axes[0]!, axes.at(-1)!];
  return {
    outer: product(shape.slice(0, first)),
    middle: product(shape.slice(first, last + 1)),
    inner: product(shape.slice(last + 1)),
    shape: keepDims
      ? shape.map((size, n) => (axes.includes(n) ? 1 : size))
      : shape.filter((_, n) => !axes.includes(n)),
  };
}

function reduce(kernelName: string, args: ReductionArguments): TensorInfo {
  const { inputs, backend, attrs } = args;
  const { x } = inputs;
  const extra = hasEngine(backend, x) ? backend.engine!.extra : null;
  const reduction = extra && reductionOf(x.shape, attrs);
  if (!extra || !reduction || reduction.middle === 0) return runCpuKernel(kernelName, args);
  const { outer, middle, inner, shape } = reduction;
  const source = backend.operand(x);
  return backend.fill(shape, (engine, y) => {
    extra.sum(source, y, outer, middle, inner);
    if (kernelName === Mean) {
      engine.binary('mul', y, new Float32Array([1 / middle]), y, outer * inner, 1);
    }
  });
}

/** Mean along any axes that lie side by side. */
export const meanAlong = (args: ReductionArguments): TensorInfo => reduce(Mean, args);

export const sumKernel = {
  kernelName: Sum,
  kernelFunc: ((args: ReductionArguments) => reduce(Sum, args)) as unknown as KernelFunc,
};
