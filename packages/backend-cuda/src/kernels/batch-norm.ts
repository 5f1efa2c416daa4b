/** `FusedBatchNorm`, and `BatchMoments`, `BatchNormalize` and its gradient, which core has for training. */
import { BATCH_MOMENTS, BATCH_NORM_GRADIENT, BATCH_NORMALIZE } from '@dsconv/core';
import { FusedBatchNorm, type TensorInfo, util } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { blocksFor, type Launcher } from '../device/launch.js';
import { packBatchNorm } from '../device/params.js';
import { runOnHost } from '../fallback.js';
import { launchBatchMoments, launchBatchNormGradient } from './batch-norm-statistics.js';
import { aligned, countable, inFours } from './mat-mul-tiles.js';

const THREADS = 256;

/** float32 numbers on the device, repeated every `size` values. */
export interface Repeated {
  address: number;
  size: number;
}

export interface BatchNormCall {
  /** Device addresses of float32 values; they may be the same. */
  x: number;
  y: number;
  count: number;
  mean: Repeated;
  variance: Repeated;
  scale: Repeated | null;
  offset: Repeated | null;
  epsilon: number;
}

/** `y[i] = offset + (x[i] - mean) * scale / √(variance + ε)`. */
export function launchBatchNorm(launcher: Launcher, call: BatchNormCall): void {
  const { x, y, count, mean, variance, scale, offset, epsilon } = call;
  if (count === 0) return;
  const quads =
    launcher.tier !== 'naive' &&
    [variance, scale, offset].every((values) => values?.size === mean.size) &&
    inFours(mean.size) &&
    aligned(x, y, mean.address, variance.address, scale?.address, offset?.address);
  launcher.launch({
    kernel: quads ? 'batch_norm' : 'batch_norm_any',
    grid: [blocksFor(count / (quads ? 4 : 1), THREADS)],
    threads: THREADS,
    params: packBatchNorm({
      x,
      y,
      count,
      mean: mean.address,
      variance: variance.address,
      scale: scale?.address ?? 0,
      offset: offset?.address ?? 0,
      meanPeriod: mean.size,
      variancePeriod: variance.size,
      scalePeriod: scale?.size ?? 1,
      offsetPeriod: offset?.size ?? 1,
      epsilon,
    }),
  });
}

/** Rows of channels. */
const rowsOf = ({ shape }: TensorInfo) => ({
  rows: util.sizeFromShape(shape.slice(0, -1)),
  channels: shape.at(-1)!,
});

function normalize(
  { backend, inputs }: KernelArguments<unknown>,
  names: { scale: string; offset: string },
  epsilon: number,
): TensorInfo {
  const x = inputs.x!;
  return backend.make(x.shape, 'float32', (y) => {
    const { address, size } = backend.tensor(x);
    launchBatchNorm(backend, {
      x: address,
      y: y.address,
      count: size,
      mean: backend.tensor(inputs.mean!),
      variance: backend.tensor(inputs.variance!),
      scale: backend.optional(inputs[names.scale]),
      offset: backend.optional(inputs[names.offset]),
      epsilon,
    });
  });
}

function fused(call: KernelArguments<{ varianceEpsilon?: number }>): TensorInfo | TensorInfo[] {
  const { x, ...numbers } = call.inputs;
  const given = Object.values(numbers).filter((tensor) => tensor !== undefined && tensor !== null);
  const rank = numbers.mean!.shape.length;
  const served =
    [x!, ...given].every((tensor) => tensor.dtype === 'float32') &&
    // Ranks that differ are left to the CPU's message.
    given.every((tensor) => tensor.shape.length === rank && util.sizeFromShape(tensor.shape) > 0) &&
    countable(util.sizeFromShape(x!.shape));
  if (!served) return runOnHost(FusedBatchNorm, call);
  return normalize(call, { scale: 'scale', offset: 'offset' }, call.attrs.varianceEpsilon ?? 0.001);
}

function moments({ inputs, backend }: KernelArguments<unknown>): TensorInfo[] {
  const { rows, channels } = rowsOf(inputs.x!);
  let variance: TensorInfo | undefined;
  const mean = backend.make([channels], 'float32', (to) => {
    variance = backend.make([channels], 'float32', (second) =>
      launchBatchMoments(backend, {
        x: backend.tensor(inputs.x!).address,
        mean: to.address,
        variance: second.address,
        rows,
        channels,
      }),
    );
  });
  return [mean, variance!];
}

function gradient({ inputs, backend, attrs }: KernelArguments<{ epsilon: number }>): TensorInfo[] {
  const { rows, channels } = rowsOf(inputs.x!);
  const address = (name: string): number => backend.tensor(inputs[name]!).address;
  const sums: TensorInfo[] = [];
  const dx = backend.make(inputs.x!.shape, 'float32', (to) => {
    const dgamma = backend.make([channels], 'float32', (first) => {
      const dbeta = backend.make([channels], 'float32', (second) =>
        launchBatchNormGradient(backend, {
          x: address('x'),
          dy: address('dy'),
          mean: address('mean'),
          variance: address('variance'),
          gamma: address('gamma'),
          dx: to.address,
          dgamma: first.address,
          dbeta: second.address,
          rows,
          channels,
          epsilon: attrs.epsilon,
        }),
      );
      sums.push(dbeta);
    });
    sums.unshift(dgamma);
  });
  return [dx, ...sums];
}

export const batchNormKernels: readonly CudaKernel[] = [
  kernelConfig<{ varianceEpsilon?: number }>(FusedBatchNorm, fused),
  kernelConfig(BATCH_MOMENTS, moments),
  kernelConfig<{ epsilon: number }>(BATCH_NORMALIZE, (call) =>
    normalize(call, { scale: 'gamma', offset: 'beta' }, call.attrs.epsilon),
  ),
  kernelConfig<{ epsilon: number }>(BATCH_NORM_GRADIENT, gradient),
];
