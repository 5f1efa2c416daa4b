/** Gradients of float convolutions: `Conv2DBackpropInput`, which is also `tf.conv2dTranspose`, and `Conv2DBackpropFilter`. */
import { type ConvAttributes, type ConvGeometry, geometryOf } from '@dsconv/core';
import { Conv2DBackpropFilter, Conv2DBackpropInput, type TensorInfo } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packConvFilterGradient, packConvInputGradient } from '../device/params.js';
import { runOnHost } from '../fallback.js';
import { servesConvolution, windowFields } from './conv2d.js';
import { aligned, inFours, launchProduct, type TilingChoice } from './mat-mul-tiles.js';

export interface Conv2dInputGradientCall {
  /** Of the forward convolution, of one group. */
  geometry: ConvGeometry;
  /** Device addresses of float32 values shaped as the convolution's output, filter and input. */
  dy: number;
  filter: number;
  dx: number;
  choice?: TilingChoice | undefined;
}

export function launchConv2dInputGradient(launcher: Launcher, call: Conv2dInputGradientCall): void {
  const { geometry, dy, filter, dx } = call;
  const { batch, inHeight, inWidth, inChannels, outChannels, strideHeight, strideWidth } = geometry;
  const strided = strideHeight * strideWidth > 1;
  const dilated = geometry.dilationHeight * geometry.dilationWidth > 1;
  const product = {
    name: 'conv_input_gradient' as const,
    m: batch * Math.ceil(inHeight / strideHeight) * Math.ceil(inWidth / strideWidth),
    n: inChannels,
    // A share of the depth is as much for every class of pixels; this is that of the largest.
    depth:
      Math.ceil(geometry.kernelHeight / strideHeight) *
      Math.ceil(geometry.kernelWidth / strideWidth) *
      outChannels,
    count: strideHeight * strideWidth,
    vector: inFours(inChannels, outChannels) && aligned(dy, filter, dx),
    y: dx,
    rows: batch * inHeight * inWidth,
    columns: inChannels,
    // Tiles know strides or dilations, not both.
    choice: strided && dilated ? ({ tile: 'naive' } as const) : call.choice,
  };
  launchProduct(launcher, product, ({ tilesM, tilesN, splits }, { y, partial }) =>
    packConvInputGradient({
      ...windowFields(geometry),
      batch,
      dy,
      filter,
      dx: y,
      partial,
      tilesN,
      tilesM,
      splits,
    }),
  );
}

export interface Conv2dFilterGradientCall {
  /** Of the forward convolution, of one group. */
  geometry: ConvGeometry;
  /** Device addresses of float32 values shaped as the convolution's input, output and filter. */
  x: number;
  dy: number;
  dw: number;
  choice?: TilingChoice | undefined;
}

export function launchConv2dFilterGradient(launcher: Launcher, call: Conv2dFilterGradientCall): void {
  const { geometry, x, dy, dw, choice } = call;
  const { inChannels, outChannels } = geometry;
  const weights = geometry.kernelHeight * geometry.kernelWidth * inChannels;
  const pixels = geometry.batch * geometry.outHeight * geometry.outWidth;
  const product = {
    name: 'conv_filter_gradient' as const,
    m: weights,
    n: outChannels,
    depth: pixels,
    count: 1,
    vector: inFours(inChannels, outChannels) && aligned(x, dy, dw),
    y: dw,
    rows: weights,
    columns: outChannels,
    choice,
  };
  launchProduct(launcher, product, ({ tilesM, tilesN, splits, splitDepth }, { y, partial }) =>
    packConvFilterGradient({
      ...windowFields(geometry),
      x,
      dy,
      dw: y,
      partial,
      pixels,
      tilesN,
      tilesM,
      splits,
      splitDepth,
    }),
  );
}

/** The forward convolution, or null where it does not give a tensor of dy's shape. */
export function forwardGeometry(
  inputShape: readonly number[],
  filterShape: readonly number[],
  dy: TensorInfo,
  attrs: ConvAttributes,
  depthwise: boolean,
): ConvGeometry | null {
  if ((attrs.dataFormat ?? 'NHWC') !== 'NHWC') return null;
  const geometry = geometryOf({ shape: inputShape }, { shape: filterShape }, attrs, depthwise);
  const { batch, outHeight, outWidth, outChannels } = geometry;
  return [batch, outHeight, outWidth, outChannels].join() === dy.shape.join() ? geometry : null;
}

type InputAttributes = ConvAttributes & { inputShape: number[] };
type FilterAttributes = ConvAttributes & { filterShape: number[] };

function byInput(call: KernelArguments<InputAttributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const [dy, filter] = [inputs.dy!, inputs.filter!];
  const geometry = forwardGeometry(attrs.inputShape, filter.shape, dy, attrs, false);
  if (!geometry || !servesConvolution(attrs, geometry, dy, filter))
    return runOnHost(Conv2DBackpropInput, call);
  return backend.make(attrs.inputShape, 'float32', (dx) =>
    launchConv2dInputGradient(backend, {
      geometry,
      dy: backend.tensor(dy).address,
      filter: backend.tensor(filter).address,
      dx: dx.address,
    }),
  );
}

function byFilter(call: KernelArguments<FilterAttributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const [x, dy] = [inputs.x!, inputs.dy!];
  const geometry = forwardGeometry(x.shape, attrs.filterShape, dy, attrs, false);
  if (!geometry || !servesConvolution(attrs, geometry, x, dy)) return runOnHost(Conv2DBackpropFilter, call);
  return backend.make(attrs.filterShape, 'float32', (dw) =>
    launchConv2dFilterGradient(backend, {
      geometry,
      x: backend.tensor(x).address,
      dy: backend.tensor(dy).address,
      dw: dw.address,
    }),
  );
}

export const convGradientKernels: readonly CudaKernel[] = [
  kernelConfig<InputAttributes>(Conv2DBackpropInput, byInput),
  kernelConfig<FilterAttributes>(Conv2DBackpropFilter, byFilter),
];
