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
import type { BinaryCode, ExtraBinaryCode, ExtraUnaryCode, TrainingUnaryCode } from '../engine.js';
import { hasEngine, type KernelArguments, runCpuKernel, sizeOf } from './fallback.js';

type Kernel = Omit<KernelConfig, 'backendName'>;

type BinaryOperation = BinaryCode | ExtraBinaryCode;

const EXTRA_BINARY: readonly string[] = ['max', 'min', 'div'] satisfies ExtraBinaryCode[];
const isExtra = (op: BinaryOperation): op is ExtraBinaryCode => EXTRA_BINARY.includes(op);

/**
 * Equal shapes, or one side a scalar or a vector along the last axis of the other.
 *
 * @param swapped operation that does the same with the operands exchanged, null where there is none
 */
function binaryKernel(kernelName: string, op: BinaryOperation, swapped: BinaryOperation | null): Kernel {
  const run = (args: KernelArguments<{ a: TensorInfo; b: TensorInfo }>): TensorInfo => {
    const { inputs, backend } = args;
    const { a, b } = inputs;
    const served = hasEngine(backend, a, b) && (!isExtra(op) || backend.engine!.extra !== null);
    if (!served) return runCpuKernel(kernelName, args);
    const period = broadcastPeriod(a, b);
    if (period !== null) return combine(args, op, a, b, period);
    const reversed = broadcastPeriod(b, a);
    return reversed === null || swapped === null
      ? runCpuKernel(kernelName, args)
      : combine(args, swapped, b, a, reversed);
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

/** After how many elements `b` repeats along `a`, or null when it is not that simple. */
function broadcastPeriod(a: TensorInfo, b: TensorInfo): number | null {
  if (a.shape.length === b.shape.length && a.shape.every((d, n) => d === b.shape[n])) return sizeOf(a);
  if (b.shape.length > a.shape.length) return null;
  const size = sizeOf(b);
  const alongLastAxis = size === 1 || (size === b.shape.at(-1) && size === a.shape.at(-1));
  return alongLastAxis && sizeOf(a) > 0 ? size : null;
}

function combine(
  { backend }: KernelArguments<unknown>,
  op: BinaryOperation,
  a: TensorInfo,
  b: TensorInfo,
  period: number,
): TensorInfo {
  const [left, right] = [backend.operand(a), backend.operand(b)];
  return backend.fill(a.shape, (engine, y) => {
    if (isExtra(op)) engine.extra!.extraBinary(op, left, right, y, sizeOf(a), period);
    else engine.binary(op, left, right, y, sizeOf(a), period);
  });
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
  const read = (tensor: TensorInfo | undefined) =>
    tensor ? (backend.entry(tensor).values as Float32Array) : undefined;
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
