/**
 * `Add`, `Sub`, `Multiply`, `Relu`, `Relu6`, `LeakyRelu`, `Prelu`, `FusedBatchNorm`; in the native tier also `Maximum`, `Minimum`, `RealDiv`,
 * `Sigmoid`, `Tanh`, `Exp`, `Step`, `Square`, `Sqrt`, `Rsqrt`, `Neg` and `Softmax`.
 */

import type { Activation } from '@dsconv/core';
import {
  Add,
  Exp,
  FusedBatchNorm,
  type KernelConfig,
  type KernelFunc,
  LeakyRelu,
  Maximum,
  Minimum,
  Multiply,
  Neg,
  Prelu,
  RealDiv,
  Relu,
  Relu6,
  Rsqrt,
  Sigmoid,
  Softmax,
  Sqrt,
  Square,
  Step,
  Sub,
  Tanh,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import type { BinaryCode, ExtraBinaryCode, ExtraUnaryCode, Operand, TrainingUnaryCode } from '../engine.js';
import { hasEngine, type KernelArguments, runCpuKernel, sizeOf } from './fallback.js';

type Kernel = Omit<KernelConfig, 'backendName'>;

type BinaryOperation = BinaryCode | ExtraBinaryCode;

const EXTRA_BINARY: readonly string[] = ['max', 'min', 'div'] satisfies ExtraBinaryCode[];
const isExtra = (op: BinaryOperation): op is ExtraBinaryCode => EXTRA_BINARY.includes(op);

/**
 * Equal shapes, or one side's axes of length 1 stand for a run of axes of the other that lie side by side: a scalar, a vector along the last axis, a value per picture.
 *
 * @param swapped operation that does the same with the operands exchanged, null where there is none
 */
function binaryKernel(kernelName: string, op: BinaryOperation, swapped: BinaryOperation | null): Kernel {
  const run = (args: KernelArguments<{ a: TensorInfo; b: TensorInfo }>): TensorInfo => {
    const { inputs, backend } = args;
    const { a, b } = inputs;
    const served = hasEngine(backend, a, b) && (!isExtra(op) || backend.engine!.extra !== null);
    if (!served) return runCpuKernel(kernelName, args);
    const pattern = broadcastPattern(a, b);
    if (pattern !== null) return combine(args, op, a, b, pattern);
    const reversed = broadcastPattern(b, a);
    return reversed === null || swapped === null
      ? runCpuKernel(kernelName, args)
      : combine(args, swapped, b, a, reversed);
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

/** `a` as `[outer, middle, period]`, with `b` as `[outer, 1, period]`. */
interface Pattern {
  outer: number;
  period: number;
}

/** How `b` repeats along `a`, or null when it is not that simple. */
function broadcastPattern(a: TensorInfo, b: TensorInfo): Pattern | null {
  const extra = a.shape.length - b.shape.length;
  if (extra < 0 || sizeOf(a) === 0) return extra === 0 && a.shape.join() === b.shape.join() ? WHOLE : null;
  const shape = [...Array<number>(extra).fill(1), ...b.shape];
  if (shape.some((size, axis) => size !== 1 && size !== a.shape[axis])) return null;
  const repeated = shape.flatMap((size, axis) => (size !== a.shape[axis] ? [axis] : []));
  if (repeated.length === 0) return { outer: 1, period: sizeOf(a) };
  const [first, last] = [repeated[0]!, repeated.at(-1)!];
  // Between them b must not have axes of its own.
  if (shape.slice(first, last + 1).some((size) => size !== 1)) return null;
  const product = (sizes: readonly number[]): number => sizes.reduce((x, y) => x * y, 1);
  return { outer: product(shape.slice(0, first)), period: product(shape.slice(last + 1)) };
}

const WHOLE: Pattern = { outer: 1, period: 1 };

/** After how many elements `b` repeats along `a`, all over, or null when it is not that simple. */
function broadcastPeriod(a: TensorInfo, b: TensorInfo): number | null {
  const pattern = broadcastPattern(a, b);
  return pattern?.outer === 1 ? pattern.period : null;
}

function combine(
  { backend }: KernelArguments<unknown>,
  op: BinaryOperation,
  a: TensorInfo,
  b: TensorInfo,
  { outer, period }: Pattern,
): TensorInfo {
  const [left, right] = [backend.operand(a), backend.operand(b)];
  const count = sizeOf(a) / outer;
  return backend.fill(a.shape, (engine, y) => {
    for (let n = 0; n < outer; n++) {
      const [p, q, to] =
        outer === 1 ? [left, right, y] : [part(left, n, count), part(right, n, period), part(y, n, count)];
      if (isExtra(op)) engine.extra!.extraBinary(op, p, q, to, count, period);
      else engine.binary(op, p, q, to, count, period);
    }
  });
}

/** Piece `n` of the pieces of `length` floats. */
function part(operand: Operand, n: number, length: number): Operand {
  return typeof operand === 'number'
    ? operand + 4 * n * length
    : operand.subarray(n * length, (n + 1) * length);
}

function unaryKernel(kernelName: string, op: Activation): Kernel {
  const run = (args: KernelArguments<{ x: TensorInfo }, { alpha?: number }>): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { x } = inputs;
    if (!hasEngine(backend, x)) return runCpuKernel(kernelName, args);
    const source = backend.operand(x);
    const alpha = attrs?.alpha ?? 0;
    return backend.fill(x.shape, (engine, y) => engine.unary(op, source, y, sizeOf(x), alpha, null, 1));
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

function extraUnaryKernel(kernelName: string, op: ExtraUnaryCode | TrainingUnaryCode): Kernel {
  const run = (args: KernelArguments<{ x: TensorInfo }, { alpha?: number }>): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { x } = inputs;
    const extra = hasEngine(backend, x) ? backend.engine!.extra : null;
    if (!extra) return runCpuKernel(kernelName, args);
    const source = backend.operand(x);
    const alpha = attrs?.alpha ?? 0;
    return backend.fill(x.shape, (_engine, y) => extra.extraUnary(op, source, y, sizeOf(x), alpha));
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

function softmax(args: KernelArguments<{ logits: TensorInfo }, { dim: number }>): TensorInfo {
  const { inputs, backend, attrs } = args;
  const { logits } = inputs;
  const channels = logits.shape.at(-1) ?? 0;
  const lastAxis = attrs.dim === -1 || attrs.dim === logits.shape.length - 1;
  const extra = lastAxis && channels > 0 && hasEngine(backend, logits) ? backend.engine!.extra : null;
  if (!extra) return runCpuKernel(Softmax, args);
  const source = backend.operand(logits);
  return backend.fill(logits.shape, (_engine, y) =>
    extra.softmax(source, y, sizeOf(logits) / channels, channels),
  );
}

function prelu(args: KernelArguments<{ x: TensorInfo; alpha: TensorInfo }>): TensorInfo {
  const { inputs, backend } = args;
  const { x, alpha } = inputs;
  const period = hasEngine(backend, x, alpha) ? broadcastPeriod(x, alpha) : null;
  if (period === null) return runCpuKernel(Prelu, args);
  const [source, slopes] = [backend.operand(x), backend.operand(alpha)];
  return backend.fill(x.shape, (engine, y) => engine.unary('prelu', source, y, sizeOf(x), 0, slopes, period));
}

interface BatchNormInputs {
  x: TensorInfo;
  mean: TensorInfo;
  variance: TensorInfo;
  scale?: TensorInfo;
  offset?: TensorInfo;
}

/** With one value per channel: `y = x * γ/√(σ²+ε) + (β - μ γ/√(σ²+ε))`. */
function batchNorm(args: KernelArguments<BatchNormInputs, { varianceEpsilon?: number }>): TensorInfo {
  const { inputs, backend, attrs } = args;
  const { x, mean, variance, scale, offset } = inputs;
  const channels = x.shape.at(-1) ?? 0;
  const perChannel = [mean, variance, scale, offset].every(
    (tensor) => !tensor || (tensor.shape.length === 1 && tensor.shape[0] === channels),
  );
  if (!perChannel || channels === 0 || !hasEngine(backend, x, mean, variance, scale, offset)) {
    return runCpuKernel(FusedBatchNorm, args);
  }
  const read = (tensor: TensorInfo | undefined) => (tensor ? backend.entry(tensor).floats() : undefined);
  const [means, variances, gammas, betas] = [mean, variance, scale, offset].map(read);
  const factor = new Float32Array(channels);
  const shift = new Float32Array(channels);
  const epsilon = attrs.varianceEpsilon ?? 0.001;
  for (let c = 0; c < channels; c++) {
    const f = (gammas ? gammas[c]! : 1) / Math.sqrt(variances![c]! + epsilon);
    factor[c] = f;
    shift[c] = (betas ? betas[c]! : 0) - means![c]! * f;
  }
  const source = backend.operand(x);
  return backend.fill(x.shape, (engine, y) => engine.scaleShift(source, y, sizeOf(x), factor, shift));
}

export const elementwiseKernels: Kernel[] = [
  binaryKernel(Add, 'add', 'add'),
  binaryKernel(Sub, 'sub', 'reverseSub'),
  binaryKernel(Multiply, 'mul', 'mul'),
  binaryKernel(Maximum, 'max', 'max'),
  binaryKernel(Minimum, 'min', 'min'),
  binaryKernel(RealDiv, 'div', null),
  extraUnaryKernel(Sigmoid, 'sigmoid'),
  extraUnaryKernel(Tanh, 'tanh'),
  extraUnaryKernel(Exp, 'exp'),
  extraUnaryKernel(Step, 'step'),
  extraUnaryKernel(Square, 'square'),
  extraUnaryKernel(Sqrt, 'sqrt'),
  extraUnaryKernel(Rsqrt, 'rsqrt'),
  extraUnaryKernel(Neg, 'negate'),
  { kernelName: Softmax, kernelFunc: softmax as unknown as KernelFunc },
  unaryKernel(Relu, 'relu'),
  unaryKernel(Relu6, 'relu6'),
  unaryKernel(LeakyRelu, 'leakyrelu'),
  { kernelName: Prelu, kernelFunc: prelu as unknown as KernelFunc },
  { kernelName: FusedBatchNorm, kernelFunc: batchNorm as unknown as KernelFunc },
];
