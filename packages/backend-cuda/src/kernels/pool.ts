/**
 * `MaxPool`, `AvgPool` and their gradients. Padding takes no part in a mean, nor in its gradient: there TensorFlow.js's CPU kernel counts the padding, which its
 * mean does not, and this backend follows the mean, like `dsconv-cpu`. A NaN in a window is its maximum.
 */
import { type ConvGeometry, type PoolAttributes, poolGeometry } from '@dsconv/core';
import { AvgPool, AvgPoolGrad, MaxPool, MaxPoolGrad } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { blocksFor, type Launcher } from '../device/launch.js';
import { packPool, packPoolGradient } from '../device/params.js';
import { runOnHost } from '../fallback.js';
import { countableConvolution } from './conv2d.js';
import { aligned, countable, inFours } from './mat-mul-tiles.js';

const THREADS = 256;

export type PoolKind = 'max' | 'avg';

export interface PoolCall {
  /** Channels in and out are the same. */
  geometry: ConvGeometry;
  /** Device addresses of float32 NHWC pictures. */
  x: number;
  y: number;
}

export function launchPool(launcher: Launcher, kind: PoolKind, { geometry, x, y }: PoolCall): void {
  const { inChannels: channels, inHeight, inWidth, outHeight, outWidth } = geometry;
  const pixels = geometry.batch * outHeight * outWidth;
  // Windows of one pixel are no pool for TensorFlow.js, whatever the strides, where they leave the shape as it is.
  if (geometry.kernelHeight * geometry.kernelWidth === 1 && inHeight === outHeight && inWidth === outWidth) {
    launcher.copy(y, x, pixels * channels * Float32Array.BYTES_PER_ELEMENT);
    return;
  }
  const quads = launcher.tier !== 'naive' && inFours(channels) && aligned(x, y);
  launcher.launch({
    kernel: `pool_${kind === 'max' ? 'max' : 'mean'}${quads ? '' : '_any'}`,
    grid: [blocksFor((pixels * channels) / (quads ? 4 : 1), THREADS)],
    threads: THREADS,
    params: packPool({ ...poolFields(geometry), x, y, pixels }),
  });
}

export interface PoolGradientCall {
  geometry: ConvGeometry;
  /** Device addresses of float32 values: what the pool read (maxima alone need it), the gradient of its result, and what is found. */
  x: number;
  dy: number;
  dx: number;
}

export function launchPoolGradient(
  launcher: Launcher,
  kind: PoolKind,
  { geometry, ...addresses }: PoolGradientCall,
): void {
  const { batch, inChannels, inHeight, inWidth, outHeight, outWidth } = geometry;
  const outputs = batch * outHeight * outWidth * inChannels;
  const launch = (kernel: string, count: number, taps: number): void =>
    launcher.launch({
      kernel,
      grid: [blocksFor(count, THREADS)],
      threads: THREADS,
      params: packPoolGradient({ ...poolFields(geometry), ...addresses, batch, taps }),
    });
  const inputs = batch * inHeight * inWidth * inChannels;
  if (kind === 'avg') launch('pool_mean_gradient', inputs, 0);
  else if (launcher.tier === 'naive') launch('pool_max_gradient_naive', inputs, 0);
  else {
    launcher.temporary(outputs * Int32Array.BYTES_PER_ELEMENT, (taps) => {
      launch('pool_max_taps', outputs, taps);
      launch('pool_max_gradient', inputs, taps);
    });
  }
}

/** A geometry as the kernels' parameters have it. */
function poolFields(geometry: ConvGeometry) {
  const { inChannels, inHeight, inWidth, outHeight, outWidth, kernelHeight, kernelWidth } = geometry;
  const { strideHeight, strideWidth, padTop, padLeft } = geometry;
  return {
    channels: inChannels,
    inHeight,
    inWidth,
    outHeight,
    outWidth,
    kernelHeight,
    kernelWidth,
    strideHeight,
    strideWidth,
    padTop,
    padLeft,
  };
}

const serves = (g: ConvGeometry): boolean =>
  countableConvolution(g) && countable(g.batch * g.inHeight * g.inWidth * g.inChannels);

const pool = (kernelName: string, kind: PoolKind): CudaKernel =>
  kernelConfig<PoolAttributes>(kernelName, (call: KernelArguments<PoolAttributes>) => {
    const { inputs, backend, attrs } = call;
    const x = inputs.x!;
    const geometry = poolGeometry(x, attrs);
    if (x.dtype !== 'float32' || !serves(geometry)) return runOnHost(kernelName, call);
    const { batch, outHeight, outWidth, outChannels } = geometry;
    return backend.make([batch, outHeight, outWidth, outChannels], 'float32', (y) =>
      launchPool(backend, kind, { geometry, x: backend.tensor(x).address, y: y.address }),
    );
  });

const gradient = (kernelName: string, kind: PoolKind): CudaKernel =>
  kernelConfig<PoolAttributes>(kernelName, (call: KernelArguments<PoolAttributes>) => {
    const { inputs, backend, attrs } = call;
    const [dy, x] = [inputs.dy!, inputs.input!];
    const geometry = poolGeometry(x, attrs);
    const { batch, outHeight, outWidth, outChannels } = geometry;
    const served =
      x.dtype === 'float32' &&
      dy.dtype === 'float32' &&
      [batch, outHeight, outWidth, outChannels].join() === dy.shape.join() &&
      serves(geometry);
    if (!served) return runOnHost(kernelName, call);
    return backend.make(x.shape, 'float32', (dx) =>
      launchPoolGradient(backend, kind, {
        geometry,
        x: kind === 'max' ? backend.tensor(x).address : 0,
        dy: backend.tensor(dy).address,
        dx: dx.address,
      }),
    );
  });

export const poolKernels: readonly CudaKernel[] = [
  pool(MaxPool, 'max'),
  pool(AvgPool, 'avg'),
  gradient(MaxPoolGrad, 'max'),
  gradient(AvgPoolGrad, 'avg'),
];
