/** `BatchMoments`, `BatchNormalize` and its gradient, for training. */
import { BATCH_MOMENTS, BATCH_NORM_GRADIENT, BATCH_NORMALIZE } from '@dsconv/core';
import type { KernelConfig, KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';
import type { DSConvCpuBackend } from '../backend.js';
import type { BatchNormOperands } from '../engine.js';
import { batchMoments, batchNormalize, batchNormGradient, type Normalization } from '../js/batch-norm.js';
import { type KernelArguments, sizeOf } from './fallback.js';

type Kernel = Omit<KernelConfig, 'backendName'>;

interface Statistics {
  x: TensorInfo;
  mean: TensorInfo;
  variance: TensorInfo;
  gamma: TensorInfo;
}

type Arguments<Inputs> = KernelArguments<Inputs, { epsilon: number }>;

const rowsOf = (x: TensorInfo) => ({ rows: sizeOf(x) / x.shape.at(-1)!, channels: x.shape.at(-1)! });

/** Tensors of arrays, the first in the shape of `x` where there are three. */
function tensors(backend: DSConvCpuBackend, arrays: Float32Array[], shapes: number[][]): TensorInfo[] {
  return arrays.map((array, n) => backend.makeTensorInfo(shapes[n]!, 'float32', array));
}

function moments({ inputs: { x }, backend }: KernelArguments<{ x: TensorInfo }>): TensorInfo[] {
  const { rows, channels } = rowsOf(x);
  const extra = backend.engine?.extra;
  if (!extra) {
    const found = batchMoments(backend.entry(x).floats(), { rows, channels });
    return tensors(backend, found, [[channels], [channels]]);
  }
  const [mean, variance] = [backend.output([channels]), backend.output([channels])];
  extra.batchMoments(backend.operand(x), mean.operand, variance.operand, rows, channels);
  return [mean.info, variance.info];
}

function operandsOf({ inputs, backend, attrs }: Arguments<Statistics>): BatchNormOperands {
  const [x, mean, variance, gamma] = [inputs.x, inputs.mean, inputs.variance, inputs.gamma].map((tensor) =>
    backend.operand(tensor),
  );
  return {
    x: x!,
    mean: mean!,
    variance: variance!,
    gamma: gamma!,
    epsilon: attrs.epsilon,
    ...rowsOf(inputs.x),
  };
}

function arraysOf({ inputs, backend, attrs }: Arguments<Statistics>): Normalization {
  const [mean, variance, gamma] = [inputs.mean, inputs.variance, inputs.gamma].map((tensor) =>
    backend.entry(tensor).floats(),
  );
  return { mean: mean!, variance: variance!, gamma: gamma!, epsilon: attrs.epsilon };
}

function normalize(args: Arguments<Statistics & { beta: TensorInfo }>): TensorInfo {
  const { inputs, backend } = args;
  const extra = backend.engine?.extra;
  if (!extra) {
    const [x, beta] = [backend.entry(inputs.x).floats(), backend.entry(inputs.beta).floats()];
    return backend.makeTensorInfo(inputs.x.shape, 'float32', batchNormalize(x, beta, arraysOf(args)));
  }
  const y = backend.output(inputs.x.shape);
  extra.batchNormalize(operandsOf(args), backend.operand(inputs.beta), y.operand);
  return y.info;
}

function gradient(args: Arguments<Statistics & { dy: TensorInfo }>): TensorInfo[] {
  const { inputs, backend } = args;
  const { rows, channels } = rowsOf(inputs.x);
  const shapes = [inputs.x.shape, [channels], [channels]];
  const extra = backend.engine?.extra;
  if (!extra) {
    const [x, dy] = [backend.entry(inputs.x).floats(), backend.entry(inputs.dy).floats()];
    return tensors(backend, batchNormGradient(x, dy, arraysOf(args), { rows, channels }), shapes);
  }
  const [dx, dgamma, dbeta] = shapes.map((shape) => backend.output(shape));
  extra.batchNormGradient(operandsOf(args), backend.operand(inputs.dy), {
    dx: dx!.operand,
    dgamma: dgamma!.operand,
    dbeta: dbeta!.operand,
  });
  return [dx!.info, dgamma!.info, dbeta!.info];
}

export const batchNormKernels: Kernel[] = [
  { kernelName: BATCH_MOMENTS, kernelFunc: moments as unknown as KernelFunc },
  { kernelName: BATCH_NORMALIZE, kernelFunc: normalize as unknown as KernelFunc },
  { kernelName: BATCH_NORM_GRADIENT, kernelFunc: gradient as unknown as KernelFunc },
];
