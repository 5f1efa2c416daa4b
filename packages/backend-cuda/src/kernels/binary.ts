/** Kernels of two operands with broadcasting, `AddN`, and the scaling with shifts of plans. */
import {
  Add,
  AddN,
  Atan2,
  backend_util,
  EluGrad,
  Equal,
  FloorDiv,
  Greater,
  GreaterEqual,
  Less,
  LessEqual,
  LogicalAnd,
  LogicalOr,
  Maximum,
  Minimum,
  Mod,
  Multiply,
  NotEqual,
  Pow,
  Prelu,
  RealDiv,
  SquaredDifference,
  Sub,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packBinary, packScaleShift } from '../device/params.js';
import { bytesPerElement, type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import {
  type Axis,
  countingFields,
  gridFor,
  MAX_COUNT,
  MAX_RANK,
  mergeAxes,
  padded,
  piecesOf,
  product,
  stridesOf,
  THREADS,
  TYPE_CODE,
} from './axes.js';
import { launchUnary } from './unary.js';

/** BinaryCode of kernels/params/elementwise.h. */
export const BINARY_CODE = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  floorDiv: 4,
  mod: 5,
  pow: 6,
  max: 7,
  min: 8,
  squaredDifference: 9,
  atan2: 10,
  equal: 11,
  notEqual: 12,
  less: 13,
  lessEqual: 14,
  greater: 15,
  greaterEqual: 16,
  and: 17,
  or: 18,
  /** a, or a * b where a is below 0. */
  prelu: 19,
  /** a * (b + 1) where b, an output of elu, is below 0, else a. */
  eluGrad: 20,
  reverseSub: 21,
} as const;
export type BinaryOperation = keyof typeof BINARY_CODE;

/** ClampCode of kernels/params/elementwise.h. */
const CLAMP_CODE = { linear: 0, relu: 1, relu6: 2 } as const;
export type Clamp = keyof typeof CLAMP_CODE;

export interface BinaryCall {
  operation: BinaryOperation;
  /** Device addresses. */
  a: number;
  b: number;
  y: number;
  /** The results in order, with the strides of a, b and y in elements; y has no gaps. At most MAX_RANK axes after merging. */
  axes: readonly Axis[];
  /** Of a and b. Default float32. */
  type?: DeviceDataType;
  /** Default that of the operands. */
  yType?: DeviceDataType;
  /** What is done to the result. Default linear. */
  clamp?: Clamp;
}

/** y = clamp(a operation b); y may be an operand that is not repeated. */
export function launchBinary(launcher: Launcher, call: BinaryCall, limit = MAX_COUNT): void {
  const { operation, a, b, y, type = 'float32', yType = type, clamp = 'linear' } = call;
  if (call.axes.some(({ size }) => size === 0)) return;
  for (const { axes, offsets, count } of piecesOf(mergeAxes(call.axes), limit)) {
    launcher.launch({
      kernel: type === 'float32' ? 'binary_f32' : 'binary_int',
      grid: gridFor(launcher, Math.ceil(count / 4)),
      threads: THREADS,
      params: packBinary({
        a: a + offsets[0]! * bytesPerElement(type),
        b: b + offsets[1]! * bytesPerElement(type),
        y: y + offsets[2]! * bytesPerElement(yType),
        count,
        operation: BINARY_CODE[operation],
        type: TYPE_CODE[type],
        yType: TYPE_CODE[yType],
        clamp: CLAMP_CODE[clamp],
        ...countingFields(axes.map(({ size }) => size)),
        aStride: padded(axes.map(({ strides }) => strides[0]!)),
        bStride: padded(axes.map(({ strides }) => strides[1]!)),
      }),
    });
  }
}

/** Axes for `b[i % period]`: count is a multiple of period. */
export function periodAxes(count: number, period: number): Axis[] {
  return [
    { size: count / period, strides: [period, 0, period] },
    { size: period, strides: [1, 1, 1] },
  ];
}

/** The shape of the results, and axes for operands of these shapes. @throws Error where they do not go together, as TensorFlow.js */
export function broadcastAxes(a: readonly number[], b: readonly number[]): { shape: number[]; axes: Axis[] } {
  const shape = backend_util.assertAndGetBroadcastShape([...a], [...b]);
  const along = (operand: readonly number[]) => {
    const strides = stridesOf(operand);
    const missing = shape.length - operand.length;
    return shape.map((_, axis) =>
      axis < missing || operand[axis - missing] === 1 ? 0 : strides[axis - missing]!,
    );
  };
  const [ofA, ofB, ofY] = [along(a), along(b), stridesOf(shape)];
  const axes = shape.map((size, n) => ({ size, strides: [ofA[n]!, ofB[n]!, ofY[n]!] }));
  return { shape, axes: axes.length > 0 ? axes : [{ size: 1, strides: [1, 1, 1] }] };
}

export interface ScaleShiftCall {
  /** Device addresses: float32 [count], [channels], [channels], [count]. */
  x: number;
  scale: number;
  shift: number;
  y: number;
  count: number;
  channels: number;
  clamp?: Clamp;
}

/** y[i] = clamp(x[i] * scale[c] + shift[c]), c = i % channels; y may be x. */
export function launchScaleShift(launcher: Launcher, call: ScaleShiftCall, limit = MAX_COUNT): void {
  const { x, scale, shift, y, channels, clamp = 'linear' } = call;
  if (call.count === 0) return;
  const axes = [
    { size: call.count / channels, strides: [channels] },
    { size: channels, strides: [1] },
  ];
  for (const { offsets, count } of piecesOf(axes, Math.max(limit, channels))) {
    const at = 4 * offsets[0]!;
    launcher.launch({
      kernel: 'scale_shift',
      grid: gridFor(launcher, Math.ceil(count / 4)),
      threads: THREADS,
      params: packScaleShift({
        x: x + at,
        scale,
        shift,
        y: y + at,
        count,
        channels,
        clamp: CLAMP_CODE[clamp],
      }),
    });
  }
}

interface BinaryKernel {
  operation: BinaryOperation;
  /** Names of the inputs. */
  a?: string;
  b?: string;
  /** Type of the result. Default that of the operands. */
  result?: DeviceDataType;
  /** Whole numbers stay with the CPU. */
  floatAlone?: boolean;
}

function binaryKernel(kernelName: string, how: BinaryKernel): CudaKernel {
  const { operation, a: nameA = 'a', b: nameB = 'b' } = how;
  return kernelConfig(kernelName, (call) => {
    const { inputs, backend } = call;
    const [a, b] = [inputs[nameA]!, inputs[nameB]!];
    const type = a.dtype;
    if (!isDeviceType(type) || b.dtype !== type || (how.floatAlone && type !== 'float32')) {
      return runOnHost(kernelName, call);
    }
    const { shape, axes } = broadcastAxes(a.shape, b.shape);
    if (mergeAxes(axes).length > MAX_RANK) return runOnHost(kernelName, call);
    const yType = how.result ?? type;
    return backend.make(shape, yType, (y) =>
      launchBinary(backend, {
        operation,
        a: backend.tensor(a).address,
        b: backend.tensor(b).address,
        y: y.address,
        axes,
        type,
        yType,
      }),
    );
  });
}

/** The sum of tensors of one shape, in their order. */
function addN(call: KernelArguments): TensorInfo | TensorInfo[] {
  const { backend } = call;
  const tensors = call.inputs as unknown as TensorInfo[];
  const [first, second, ...others] = tensors as [TensorInfo, ...TensorInfo[]];
  const type = first.dtype;
  if (!isDeviceType(type) || tensors.some(({ dtype }) => dtype !== type)) return runOnHost(AddN, call);
  return backend.make(first.shape, type, (y) => {
    const { address, size } = backend.tensor(first);
    if (!second) {
      launchUnary(backend, { operation: 'copy', x: address, y: y.address, count: size, xType: type });
      return;
    }
    const axes = [{ size: product(first.shape), strides: [1, 1, 1] }];
    [second, ...others].forEach((tensor, n) => {
      launchBinary(backend, {
        operation: 'add',
        a: n === 0 ? address : y.address,
        b: backend.tensor(tensor).address,
        y: y.address,
        axes,
        type,
      });
    });
  });
}

export const binaryKernels: readonly CudaKernel[] = [
  binaryKernel(Add, { operation: 'add' }),
  kernelConfig(AddN, addN),
  binaryKernel(Sub, { operation: 'sub' }),
  binaryKernel(Multiply, { operation: 'mul' }),
  binaryKernel(RealDiv, { operation: 'div' }),
  binaryKernel(FloorDiv, { operation: 'floorDiv', result: 'int32' }),
  binaryKernel(Mod, { operation: 'mod' }),
  binaryKernel(Pow, { operation: 'pow' }),
  binaryKernel(Maximum, { operation: 'max' }),
  binaryKernel(Minimum, { operation: 'min' }),
  binaryKernel(SquaredDifference, { operation: 'squaredDifference' }),
  binaryKernel(Atan2, { operation: 'atan2', floatAlone: true }),
  binaryKernel(Equal, { operation: 'equal', result: 'bool' }),
  binaryKernel(NotEqual, { operation: 'notEqual', result: 'bool' }),
  binaryKernel(Less, { operation: 'less', result: 'bool' }),
  binaryKernel(LessEqual, { operation: 'lessEqual', result: 'bool' }),
  binaryKernel(Greater, { operation: 'greater', result: 'bool' }),
  binaryKernel(GreaterEqual, { operation: 'greaterEqual', result: 'bool' }),
  binaryKernel(LogicalAnd, { operation: 'and', result: 'bool' }),
  binaryKernel(LogicalOr, { operation: 'or', result: 'bool' }),
  binaryKernel(Prelu, { operation: 'prelu', a: 'x', b: 'alpha', result: 'float32' }),
  binaryKernel(EluGrad, { operation: 'eluGrad', a: 'dy', b: 'y', result: 'float32' }),
];
