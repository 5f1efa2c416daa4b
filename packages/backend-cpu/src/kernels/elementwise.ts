/** `Add`, `Sub`, `Multiply`, `Relu`, `Relu6`, `LeakyRelu`, `Prelu`, `FusedBatchNorm`. */
import {
  Add,
  FusedBatchNorm,
  type KernelConfig,
  type KernelFunc,
  LeakyRelu,
  Multiply,
  Prelu,
  Relu,
  Relu6,
  Sub,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { ACTIVATION, BINARY } from '../wasm-interface.js';
import { inHeap, type KernelArguments, runCpuKernel, sizeOf } from './fallback.js';

type Kernel = Omit<KernelConfig, 'backendName'>;

/** Equal shapes, or one side a scalar or a vector along the last axis of the other. */
function binaryKernel(kernelName: string, op: number, swapped: number): Kernel {
  const run = (args: KernelArguments<{ a: TensorInfo; b: TensorInfo }>): TensorInfo => {
    const { inputs, backend } = args;
    const { a, b } = inputs;
    if (!inHeap(backend, a, b)) return runCpuKernel(kernelName, args);
    const period = broadcastPeriod(a, b);
    if (period !== null) return combine(args, op, a, b, period);
    const reversed = broadcastPeriod(b, a);
    return reversed === null ? runCpuKernel(kernelName, args) : combine(args, swapped, b, a, reversed);
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
  op: number,
  a: TensorInfo,
  b: TensorInfo,
  period: number,
): TensorInfo {
  const pointers = [backend.pointer(a), backend.pointer(b)] as const;
  const { info, ptr } = backend.heapTensor(a.shape);
  backend.heap!.exports.binary(op, ...pointers, ptr, sizeOf(a), period);
  return info;
}

function unaryKernel(kernelName: string, op: number): Kernel {
  const run = (args: KernelArguments<{ x: TensorInfo }, { alpha?: number }>): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { x } = inputs;
    if (!inHeap(backend, x)) return runCpuKernel(kernelName, args);
    const source = backend.pointer(x);
    const { info, ptr } = backend.heapTensor(x.shape);
    backend.heap!.exports.unary(op, source, ptr, sizeOf(x), attrs?.alpha ?? 0, 0, 1);
    return info;
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

function prelu(args: KernelArguments<{ x: TensorInfo; alpha: TensorInfo }>): TensorInfo {
  const { inputs, backend } = args;
  const { x, alpha } = inputs;
  const period = inHeap(backend, x, alpha) ? broadcastPeriod(x, alpha) : null;
  if (period === null) return runCpuKernel(Prelu, args);
  const pointers = [backend.pointer(x), backend.pointer(alpha)] as const;
  const { info, ptr } = backend.heapTensor(x.shape);
  backend.heap!.exports.unary(ACTIVATION.prelu, pointers[0], ptr, sizeOf(x), 0, pointers[1], period);
  return info;
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
  if (!perChannel || channels === 0 || !inHeap(backend, x, mean, variance, scale, offset)) {
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
  const heap = backend.heap!;
  const source = backend.pointer(x);
  const { info, ptr } = backend.heapTensor(x.shape);
  heap.withCopies([factor, shift], (f, s) => {
    heap.exports.scale_shift(source, f!, s!, ptr, sizeOf(x), channels);
  });
  return info;
}

export const elementwiseKernels: Kernel[] = [
  binaryKernel(Add, BINARY.add, BINARY.add),
  binaryKernel(Sub, BINARY.sub, BINARY.reverseSub),
  binaryKernel(Multiply, BINARY.mul, BINARY.mul),
  unaryKernel(Relu, ACTIVATION.relu),
  unaryKernel(Relu6, ACTIVATION.relu6),
  unaryKernel(LeakyRelu, ACTIVATION.leakyrelu),
  { kernelName: Prelu, kernelFunc: prelu as unknown as KernelFunc },
  { kernelName: FusedBatchNorm, kernelFunc: batchNorm as unknown as KernelFunc },
];
