/** `BatchMatMul` and `_FusedMatMul`. */
import { ACTIVATIONS, type Activation } from '@dsconv/core';
import {
  _FusedMatMul,
  BatchMatMul,
  type KernelConfig,
  type KernelFunc,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { hasEngine, type KernelArguments, runCpuKernel, sizeOf } from './fallback.js';

interface Inputs {
  a: TensorInfo;
  b: TensorInfo;
  bias?: TensorInfo;
  preluActivationWeights?: TensorInfo;
}

interface Attributes {
  transposeA: boolean;
  transposeB: boolean;
  activation?: string;
  leakyreluAlpha?: number;
}

type Arguments = KernelArguments<Inputs, Attributes>;

function kernel(kernelName: string): Omit<KernelConfig, 'backendName'> {
  const run = (args: Arguments): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { a, b, bias, preluActivationWeights: slopes } = inputs;
    const columns = b.shape.at(attrs.transposeB ? -2 : -1)!;
    const [batchA, batchB] = [batchOf(a), batchOf(b)];
    const served =
      hasEngine(backend, a, b, bias, slopes) &&
      ACTIVATIONS.includes((attrs.activation ?? 'linear') as Activation) &&
      (!bias || sizeOf(bias) === columns) &&
      (!slopes || sizeOf(slopes) === columns) &&
      // One batch entry may serve all of the other side; richer broadcasting is left to the CPU kernel.
      (batchA === batchB || batchA === 1 || batchB === 1);
    return served ? multiply(args, batchA, batchB) : runCpuKernel(kernelName, args);
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

function multiply({ inputs, backend, attrs }: Arguments, batchA: number, batchB: number): TensorInfo {
  const { a, b } = inputs;
  const { transposeA, transposeB, activation = 'linear', leakyreluAlpha = 0.2 } = attrs;
  const m = a.shape.at(transposeA ? -1 : -2)!;
  const k = a.shape.at(transposeA ? -2 : -1)!;
  const n = b.shape.at(transposeB ? -2 : -1)!;
  const lead = (batchA >= batchB && a.shape.length >= b.shape.length ? a : b).shape.slice(0, -2);
  const call = {
    a: backend.operand(a),
    b: backend.operand(b),
    bias: backend.operand(inputs.bias),
    slopes: backend.operand(inputs.preluActivationWeights),
    batch: Math.max(batchA, batchB),
    m,
    k,
    n,
    transposeA,
    transposeB,
    aStride: batchA === 1 ? 0 : m * k,
    bStride: batchB === 1 ? 0 : k * n,
    activation: activation as Activation,
    leakyreluAlpha,
  };
  return backend.fill([...lead, m, n], (engine, y) => engine.matMul({ ...call, y }));
}

const batchOf = (info: TensorInfo): number => info.shape.slice(0, -2).reduce((product, d) => product * d, 1);

export const matMulKernels = [kernel(BatchMatMul), kernel(_FusedMatMul)];
