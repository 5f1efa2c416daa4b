/** `BFPRound` and its gradient: the rounding of activations that training does by itself. */
import { BFP_ROUND, BFP_ROUND_GRADIENT, type BfpFormat, bfpGradient, roundToBfp } from '@dsconv/core';
import type { KernelConfig, KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';
import { type KernelArguments, sizeOf } from './fallback.js';

type Kernel = Omit<KernelConfig, 'backendName'>;
type Arguments<Inputs> = KernelArguments<Inputs, Required<BfpFormat>>;

function round({ inputs: { x }, backend, attrs }: Arguments<{ x: TensorInfo }>): TensorInfo {
  const channels = x.shape.at(-1)!;
  if (!backend.engine) {
    return backend.makeTensorInfo(x.shape, 'float32', roundToBfp(backend.entry(x).floats(), channels, attrs));
  }
  const source = backend.operand(x);
  return backend.fill(x.shape, (engine, y) =>
    engine.bfpRound(source, y, sizeOf(x) / channels, channels, attrs),
  );
}

function gradient({ inputs, backend, attrs }: Arguments<{ x: TensorInfo; dy: TensorInfo }>): TensorInfo {
  const { x, dy } = inputs;
  const channels = x.shape.at(-1)!;
  const extra = backend.engine?.extra;
  if (!extra) {
    const dx = bfpGradient(backend.entry(x).floats(), backend.entry(dy).floats(), channels, attrs);
    return backend.makeTensorInfo(x.shape, 'float32', dx);
  }
  const [source, from] = [backend.operand(x), backend.operand(dy)];
  return backend.fill(x.shape, (_engine, dx) =>
    extra.bfpGradient(source, from, dx, sizeOf(x) / channels, channels, attrs),
  );
}

export const bfpKernels: Kernel[] = [
  { kernelName: BFP_ROUND, kernelFunc: round as unknown as KernelFunc },
  { kernelName: BFP_ROUND_GRADIENT, kernelFunc: gradient as unknown as KernelFunc },
];
