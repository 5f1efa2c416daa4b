/** Kernels of one operand, element by element. */
import {
  Abs,
  Ceil,
  ClipByValue,
  Cos,
  Elu,
  Erf,
  Exp,
  Expm1,
  Floor,
  IsFinite,
  IsInf,
  IsNan,
  LeakyRelu,
  Log,
  Log1p,
  LogicalNot,
  Neg,
  Reciprocal,
  Relu,
  Relu6,
  Round,
  Rsqrt,
  Selu,
  Sigmoid,
  Sign,
  Sin,
  Softplus,
  Sqrt,
  Square,
  Step,
  Tan,
  Tanh,
} from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packUnary } from '../device/params.js';
import { bytesPerElement, type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { gridFor, MAX_COUNT, piecesOf, THREADS, TYPE_CODE } from './axes.js';
import { launchFill } from './fill.js';

/** UnaryCode of kernels/params/elementwise.h. */
export const UNARY_CODE = {
  copy: 0,
  notZero: 1,
  abs: 2,
  neg: 3,
  exp: 4,
  expm1: 5,
  log1p: 6,
  square: 7,
  relu: 8,
  relu6: 9,
  selu: 10,
  leakyrelu: 11,
  softplus: 12,
  sign: 13,
  reciprocal: 14,
  clip: 15,
  step: 16,
  logicalNot: 17,
  floor: 32,
  ceil: 33,
  round: 34,
  isNan: 35,
  isInf: 36,
  isFinite: 37,
  log: 38,
  sqrt: 39,
  rsqrt: 40,
  sigmoid: 41,
  tanh: 42,
  elu: 43,
  sin: 44,
  cos: 45,
  tan: 46,
  erf: 47,
  silu: 48,
} as const;
export type UnaryOperation = keyof typeof UNARY_CODE;

/** From this code on of float32 alone. */
const FLOAT_ALONE = UNARY_CODE.floor;

export interface UnaryCall {
  operation: UnaryOperation;
  /** Device addresses. */
  x: number;
  y: number;
  /** Elements. */
  count: number;
  /** Default float32. */
  xType?: DeviceDataType;
  /** Default the type of x. Results are stored as typed arrays store them. */
  yType?: DeviceDataType;
  /** Slope of leakyrelu, value of step below 0, lower limit of clip. Default 0. */
  alpha?: number;
  /** Upper limit of clip. Default 0. */
  beta?: number;
}

/** A number as a float32 and what that leaves, which together hold every int32. */
function twoFloats(value: number): [number, number] {
  const high = Math.fround(value);
  return [high, Number.isFinite(high) ? Math.fround(value - high) : 0];
}

/** y[i] = operation(x[i]); x and y may be the same where their types have equally many bytes. */
export function launchUnary(launcher: Launcher, call: UnaryCall, limit = MAX_COUNT): void {
  const { operation, x, y, count, xType = 'float32', yType = xType } = call;
  if (count === 0) return;
  const [alpha, alphaRest] = twoFloats(call.alpha ?? 0);
  const [beta, betaRest] = twoFloats(call.beta ?? 0);
  for (const piece of piecesOf(
    [{ size: count, strides: [bytesPerElement(xType), bytesPerElement(yType)] }],
    limit,
  )) {
    launcher.launch({
      kernel: xType === 'float32' ? 'unary_f32' : 'unary_int',
      grid: gridFor(launcher, Math.ceil(piece.count / 4)),
      threads: THREADS,
      params: packUnary({
        x: x + piece.offsets[0]!,
        y: y + piece.offsets[1]!,
        count: piece.count,
        operation: UNARY_CODE[operation],
        xType: TYPE_CODE[xType],
        yType: TYPE_CODE[yType],
        alpha,
        alphaRest,
        beta,
        betaRest,
      }),
    });
  }
}

interface UnaryAttributes {
  alpha?: number;
  clipValueMin?: number;
  clipValueMax?: number;
}

/** @param result type of the result; default that of the input */
function unaryKernel(kernelName: string, operation: UnaryOperation, result?: DeviceDataType): CudaKernel {
  return kernelConfig<UnaryAttributes>(kernelName, (call) => {
    const x = call.inputs.x!;
    const xType = x.dtype;
    if (!isDeviceType(xType)) return runOnHost(kernelName, call as KernelArguments);
    const served = xType === 'float32' ? operation : whole(operation);
    if (served === null) return runOnHost(kernelName, call as KernelArguments);
    const { backend, attrs } = call;
    const yType = result ?? xType;
    return backend.make(x.shape, yType, (y) => {
      if (typeof served === 'number') {
        launchFill(backend, y.address, y.size, served, yType);
        return;
      }
      const { address, size } = backend.tensor(x);
      launchUnary(backend, {
        operation: served,
        x: address,
        y: y.address,
        count: size,
        xType,
        yType,
        alpha: attrs?.clipValueMin ?? attrs?.alpha ?? 0,
        beta: attrs?.clipValueMax ?? 0,
      });
    });
  });
}

/** What an operation is for whole numbers: itself, another one, one number for all, or null where it stays with the CPU. */
function whole(operation: UnaryOperation): UnaryOperation | number | null {
  if (UNARY_CODE[operation] < FLOAT_ALONE) return operation;
  switch (operation) {
    case 'floor':
    case 'ceil':
    case 'round':
      return 'copy';
    case 'isNan':
    case 'isInf':
      return 0;
    case 'isFinite':
      return 1;
    default:
      return null;
  }
}

export const unaryKernels: readonly CudaKernel[] = [
  unaryKernel(Abs, 'abs'),
  unaryKernel(Neg, 'neg'),
  unaryKernel(Exp, 'exp', 'float32'),
  unaryKernel(Expm1, 'expm1'),
  unaryKernel(Log, 'log'),
  unaryKernel(Log1p, 'log1p'),
  unaryKernel(Sqrt, 'sqrt'),
  unaryKernel(Rsqrt, 'rsqrt'),
  unaryKernel(Square, 'square'),
  unaryKernel(Sigmoid, 'sigmoid'),
  unaryKernel(Tanh, 'tanh'),
  unaryKernel(Relu, 'relu'),
  unaryKernel(Relu6, 'relu6'),
  unaryKernel(Elu, 'elu'),
  unaryKernel(Selu, 'selu'),
  unaryKernel(LeakyRelu, 'leakyrelu', 'float32'),
  unaryKernel(Softplus, 'softplus'),
  unaryKernel(Sign, 'sign'),
  unaryKernel(Floor, 'floor'),
  unaryKernel(Ceil, 'ceil'),
  unaryKernel(Round, 'round'),
  unaryKernel(Reciprocal, 'reciprocal'),
  unaryKernel(ClipByValue, 'clip'),
  unaryKernel(Step, 'step'),
  unaryKernel(Sin, 'sin'),
  unaryKernel(Cos, 'cos'),
  unaryKernel(Tan, 'tan'),
  unaryKernel(Erf, 'erf'),
  unaryKernel(IsNan, 'isNan', 'bool'),
  unaryKernel(IsInf, 'isInf', 'bool'),
  unaryKernel(IsFinite, 'isFinite', 'bool'),
  unaryKernel(LogicalNot, 'logicalNot', 'bool'),
];
