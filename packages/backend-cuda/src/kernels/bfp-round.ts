/** `BFPRound` and its gradient: the rounding of activations that training does by itself. */
import { BFP_ROUND, BFP_ROUND_GRADIENT, type BfpFormat } from '@dsconv/core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { type KernelArguments, kernelConfig } from '../backend.js';
import { launchRound, launchRoundGradient } from '../dsconv/round.js';

type Arguments = KernelArguments<Required<BfpFormat>>;

function round({ inputs, backend, attrs }: Arguments): TensorInfo {
  const info = inputs.x!;
  const x = backend.tensor(info);
  const channels = info.shape.at(-1)!;
  return backend.make(info.shape, 'float32', (y) => {
    if (y.size > 0) launchRound(backend, y.size / channels, channels, attrs, x.address, y.address);
  });
}

function gradient({ inputs, backend, attrs }: Arguments): TensorInfo {
  const info = inputs.x!;
  const [x, dy] = [backend.tensor(info), backend.tensor(inputs.dy!)];
  const channels = info.shape.at(-1)!;
  return backend.make(info.shape, 'float32', (dx) => {
    if (dx.size === 0) return;
    launchRoundGradient(backend, dx.size / channels, channels, attrs, {
      x: x.address,
      dy: dy.address,
      dx: dx.address,
    });
  });
}

export const bfpKernels = [kernelConfig(BFP_ROUND, round), kernelConfig(BFP_ROUND_GRADIENT, gradient)];
