/** `MaxPool`, `AvgPool`, their gradients, and `Mean` over height and width. */
import { type PoolAttributes, poolGeometry } from '@dsconv/core';
import {
  AvgPool,
  AvgPoolGrad,
  type KernelConfig,
  type KernelFunc,
  MaxPool,
  MaxPoolGrad,
  Mean,
  type TensorInfo,
  util,
} from '@tensorflow/tfjs-core';
import { hasEngine, type KernelArguments, runCpuKernel } from './fallback.js';
import { meanAlong } from './sum.js';

function poolKernel(kernelName: string, kind: 'max' | 'avg'): Omit<KernelConfig, 'backendName'> {
  const run = (args: KernelArguments<{ x: TensorInfo }, PoolAttributes>): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { x } = inputs;
    if (!hasEngine(backend, x)) return runCpuKernel(kernelName, args);
    const geometry = poolGeometry(x, attrs);
    const { batch, outHeight, outWidth, outChannels } = geometry;
    const source = backend.operand(x);
    return backend.fill([batch, outHeight, outWidth, outChannels], (engine, y) =>
      engine.pool(kind, source, y, geometry),
    );
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

/** Gradients of both, which TensorFlow.js calls with what the pool read. */
function gradientKernel(kernelName: string, kind: 'max' | 'avg'): Omit<KernelConfig, 'backendName'> {
  const run = (args: KernelArguments<{ dy: TensorInfo; input: TensorInfo }, PoolAttributes>): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { dy, input } = inputs;
    const extra = hasEngine(backend, dy, input) ? backend.engine!.extra : null;
    if (!extra) return runCpuKernel(kernelName, args);
    const geometry = poolGeometry(input, attrs);
    const [from, source] = [backend.operand(dy), kind === 'max' ? backend.operand(input) : null];
    return backend.fill(input.shape, (_engine, dx) => extra.poolGradient(kind, source, from, dx, geometry));
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

function mean(
  args: KernelArguments<{ x: TensorInfo }, { axis: number | number[]; keepDims: boolean }>,
): TensorInfo {
  const { inputs, backend, attrs } = args;
  const { x } = inputs;
  const axes = util.parseAxisParam(attrs.axis, x.shape);
  const overImage = x.shape.length === 4 && axes.length === 2 && axes.includes(1) && axes.includes(2);
  if (!overImage || !hasEngine(backend, x)) return meanAlong(args);
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const source = backend.operand(x);
  return backend.fill(attrs.keepDims ? [batch, 1, 1, channels] : [batch, channels], (engine, y) =>
    engine.mean(source, y, batch, height * width, channels),
  );
}

export const poolKernels: Omit<KernelConfig, 'backendName'>[] = [
  poolKernel(MaxPool, 'max'),
  poolKernel(AvgPool, 'avg'),
  gradientKernel(MaxPoolGrad, 'max'),
  gradientKernel(AvgPoolGrad, 'avg'),
  { kernelName: Mean, kernelFunc: mean as unknown as KernelFunc },
];
