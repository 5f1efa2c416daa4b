/**
 * `Less`, `LessEqual`, `Greater`, `GreaterEqual`, `Equal` of floats of one shape, or with one number. TensorFlow.js computes the place of every element of either
 * operand anew, which made `x ≤ 6`, a part of the gradient of `Relu6`, the longest step in training MobileNet.
 */
import {
  Equal,
  Greater,
  GreaterEqual,
  type KernelConfig,
  type KernelFunc,
  Less,
  LessEqual,
  type TensorInfo,
  util,
} from '@tensorflow/tfjs-core';
import { hasEngine, type KernelArguments, runCpuKernel, sizeOf } from './fallback.js';

/** Values of one operand, and by how much its place moves from one result to the next: 1, or 0 for a single number. */
interface Side {
  values: Float32Array;
  stride: 0 | 1;
}

type Comparison = (a: Side, b: Side, y: Uint8Array) => void;

// Three loops, not one that calls a function: those calls take longer than everything else in it. No branch either, which nothing could foresee.
const less: Comparison = ({ values: a, stride: p }, { values: b, stride: q }, y) => {
  for (let n = 0; n < y.length; n++) y[n] = Number(a[n * p]! < b[n * q]!);
};
const lessEqual: Comparison = ({ values: a, stride: p }, { values: b, stride: q }, y) => {
  for (let n = 0; n < y.length; n++) y[n] = Number(a[n * p]! <= b[n * q]!);
};
const equal: Comparison = ({ values: a, stride: p }, { values: b, stride: q }, y) => {
  for (let n = 0; n < y.length; n++) y[n] = Number(a[n * p]! === b[n * q]!);
};
const swapped =
  (comparison: Comparison): Comparison =>
  (a, b, y) =>
    comparison(b, a, y);

function compareKernel(kernelName: string, compare: Comparison): Omit<KernelConfig, 'backendName'> {
  const run = (args: KernelArguments<{ a: TensorInfo; b: TensorInfo }>): TensorInfo => {
    const { inputs, backend } = args;
    const { a, b } = inputs;
    const shape = hasEngine(backend, a, b) ? resultShape(a, b) : null;
    if (shape === null) return runCpuKernel(kernelName, args);
    const side = (info: TensorInfo): Side => {
      return { values: backend.entry(info).floats(), stride: sizeOf(info) === 1 ? 0 : 1 };
    };
    const y = new Uint8Array(util.sizeFromShape([...shape]));
    compare(side(a), side(b), y);
    return backend.makeTensorInfo([...shape], 'bool', y);
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

/** Of equal shapes, or of one and a number of no more dimensions; null for what else broadcasts. */
function resultShape(a: TensorInfo, b: TensorInfo): readonly number[] | null {
  const isNumber = (one: TensorInfo, other: TensorInfo): boolean =>
    sizeOf(one) === 1 && one.shape.length <= other.shape.length;
  if (isNumber(b, a)) return a.shape;
  if (isNumber(a, b)) return b.shape;
  return a.shape.join() === b.shape.join() ? a.shape : null;
}

export const compareKernels = [
  compareKernel(Less, less),
  compareKernel(LessEqual, lessEqual),
  compareKernel(Greater, swapped(less)),
  compareKernel(GreaterEqual, swapped(lessEqual)),
  compareKernel(Equal, equal),
];
