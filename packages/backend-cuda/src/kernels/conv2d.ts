/** `Conv2D` and `FusedConv2D`. */
import { type ConvAttributes, type ConvGeometry, geometryOf } from '@dsconv/core';
import { Conv2D, FusedConv2D, type TensorInfo } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packConv } from '../device/params.js';
import { runOnHost } from '../fallback.js';
import { type FloatEpilogue, fusedEpilogue } from './conv2d-epilogue.js';
import { aligned, countable, inFours, launchProduct, type TilingChoice } from './mat-mul-tiles.js';

export interface Conv2dCall {
  /** Groups as in the geometry. */
  geometry: ConvGeometry;
  /** Device addresses of float32 NHWC pictures and a filter `[kernelHeight, kernelWidth, inChannels / groups, outChannels]`. */
  x: number;
  filter: number;
  y: number;
  epilogue: FloatEpilogue;
  choice?: TilingChoice;
}

export function launchConv2d(
  launcher: Launcher,
  { geometry, x, filter, y, epilogue, choice }: Conv2dCall,
): void {
  const { groups, inChannels, outChannels, kernelHeight, kernelWidth } = geometry;
  const [groupChannels, groupOutputs] = [inChannels / groups, outChannels / groups];
  const pixels = geometry.batch * geometry.outHeight * geometry.outWidth;
  const product = {
    name: 'conv' as const,
    m: pixels,
    n: groupOutputs,
    depth: kernelHeight * kernelWidth * groupChannels,
    count: groups,
    vector: inFours(groupChannels, groupOutputs) && aligned(x, filter, y, epilogue.residual),
    y,
    rows: pixels,
    columns: outChannels,
    epilogue,
    choice,
  };
  launchProduct(launcher, product, ({ tilesM, tilesN, splits, splitDepth }, target) =>
    packConv({
      ...target,
      ...windowFields(geometry),
      x,
      filter,
      pixels,
      groupChannels,
      groupOutputs,
      padded: Number(readsOutside(geometry)),
      tilesN,
      tilesM,
      groups,
      splits,
      splitDepth,
    }),
  );
}

/** A geometry as the kernels' parameters have it. */
export function windowFields(geometry: ConvGeometry) {
  const { batch: _batch, padBottom: _bottom, padRight: _right, groups: _groups, ...fields } = geometry;
  return fields;
}

/** Whether any tap of any pixel lies outside of the picture. */
function readsOutside(g: ConvGeometry): boolean {
  const lastY = (g.outHeight - 1) * g.strideHeight + (g.kernelHeight - 1) * g.dilationHeight - g.padTop;
  const lastX = (g.outWidth - 1) * g.strideWidth + (g.kernelWidth - 1) * g.dilationWidth - g.padLeft;
  return g.padTop > 0 || g.padLeft > 0 || lastY >= g.inHeight || lastX >= g.inWidth;
}

/** Whether the kernels can count its pixels, its weights, and the values of a picture. */
export function countableConvolution(g: ConvGeometry): boolean {
  const depth = g.kernelHeight * g.kernelWidth * g.inChannels;
  return countable(
    g.inHeight * g.inWidth * g.inChannels,
    g.outHeight * g.outWidth * g.outChannels,
    g.batch * g.outHeight * g.outWidth,
    g.batch * g.inHeight * g.inWidth,
    depth * g.outChannels,
  );
}

/** Whether the kernels know a convolution of TensorFlow.js: NHWC, float32, of at least one channel. */
export function servesConvolution(
  { dataFormat = 'NHWC' }: ConvAttributes,
  geometry: ConvGeometry,
  ...tensors: TensorInfo[]
): boolean {
  return (
    dataFormat === 'NHWC' &&
    tensors.every(({ dtype }) => dtype === 'float32') &&
    geometry.inChannels > 0 &&
    geometry.outChannels > 0 &&
    countableConvolution(geometry)
  );
}

function convolve(kernelName: string, call: KernelArguments<ConvAttributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const [x, filter] = [inputs.x!, inputs.filter!];
  if ((attrs.dataFormat ?? 'NHWC') !== 'NHWC') return runOnHost(kernelName, call);
  const geometry = geometryOf(x, filter, attrs, false);
  const { batch, outHeight, outWidth, outChannels } = geometry;
  const shape = [batch, outHeight, outWidth, outChannels];
  const served = servesConvolution(attrs, geometry, x, filter);
  const epilogue = served ? fusedEpilogue(backend, inputs, attrs, shape) : null;
  if (!epilogue) return runOnHost(kernelName, call);
  return backend.make(shape, 'float32', (y) =>
    launchConv2d(backend, {
      geometry,
      x: backend.tensor(x).address,
      filter: backend.tensor(filter).address,
      y: y.address,
      epilogue,
    }),
  );
}

export const convKernels: readonly CudaKernel[] = [Conv2D, FusedConv2D].map((name) =>
  kernelConfig<ConvAttributes>(name, (call) => convolve(name, call)),
);
