/** `Softmax` along the last axis. (`tf.logSoftmax` is no kernel of TensorFlow.js: it is made of others.) */
import { Softmax } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packSoftmax } from '../device/params.js';
import { runOnHost } from '../fallback.js';
import { powerOfTwo, THREADS } from './axes.js';

export interface SoftmaxCall {
  /** Device addresses of float32 [rows, channels]; they may be the same. */
  x: number;
  y: number;
  rows: number;
  channels: number;
}

/** What one thread reads at least, where there are so many. */
const READS = 4;

export function launchSoftmax(launcher: Launcher, { x, y, rows, channels }: SoftmaxCall): void {
  if (rows * channels === 0) return;
  const lanes = Math.min(THREADS, powerOfTwo(channels / READS));
  launcher.launch({
    kernel: 'softmax_rows',
    grid: [Math.ceil(rows / (THREADS / lanes))],
    threads: THREADS,
    params: packSoftmax({ x, y, rows, channels, lanes }),
  });
}

export const softmaxKernels: readonly CudaKernel[] = [
  kernelConfig<{ dim: number }>(Softmax, (call) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.logits!;
    const last = x.shape.length - 1;
    if (x.dtype !== 'float32' || (attrs.dim !== -1 && attrs.dim !== last) || last < 0) {
      return runOnHost(Softmax, call as unknown as KernelArguments);
    }
    const channels = x.shape[last]!;
    return backend.make(x.shape, 'float32', (y) => {
      const { address, size } = backend.tensor(x);
      launchSoftmax(backend, { x: address, y: y.address, rows: size / Math.max(1, channels), channels });
    });
  }),
];
