/** `DepthwiseConv2dNative` and `FusedDepthwiseConv2D`. */
import { type ConvAttributes, type ConvGeometry, geometryOf } from '@dsconv/core';
import { DepthwiseConv2dNative, FusedDepthwiseConv2D, type TensorInfo } from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { blocksFor, type Launcher } from '../device/launch.js';
import { packDepthwiseFloat } from '../device/params.js';
import { runOnHost } from '../fallback.js';
import { servesConvolution } from './conv2d.js';
import { epilogueFields, type FloatEpilogue, fusedEpilogue } from './conv2d-epilogue.js';
import { aligned, inFours } from './mat-mul-tiles.js';

const THREADS = 256;
/** Pixels of a thread of the fast kernels. */
const PIXELS = 4;

export interface DepthwiseCall {
  geometry: ConvGeometry;
  /** Device addresses of float32 NHWC pictures and a filter `[kernelHeight, kernelWidth, inChannels, multiplier]`. */
  x: number;
  filter: number;
  y: number;
  epilogue: FloatEpilogue;
}

export function launchDepthwise(
  launcher: Launcher,
  { geometry, x, filter, y, epilogue }: DepthwiseCall,
): void {
  const { inChannels, outChannels, outWidth } = geometry;
  const rows = geometry.batch * geometry.outHeight;
  const quads = inChannels === outChannels && inFours(inChannels) && aligned(x, filter, y, epilogue.residual);
  const params = packDepthwiseFloat({
    ...depthwiseFields(geometry),
    ...epilogueFields(epilogue),
    x,
    filter,
    y,
    rows,
  });
  const runs = Math.ceil(outWidth / PIXELS);
  const [kernel, threads] =
    launcher.tier === 'naive'
      ? ['depthwise_float_naive', rows * outWidth * outChannels]
      : quads
        ? ['depthwise_float', (rows * runs * outChannels) / 4]
        : ['depthwise_float_any', rows * runs * outChannels];
  launcher.launch({
    kernel: kernel as string,
    grid: [blocksFor(threads as number, THREADS)],
    threads: THREADS,
    params,
  });
}

/** A geometry as the kernels' parameters have it. */
export function depthwiseFields(geometry: ConvGeometry) {
  const { inChannels, outChannels, inHeight, inWidth, outHeight, outWidth, kernelHeight, kernelWidth } =
    geometry;
  const { strideHeight, strideWidth, dilationHeight, dilationWidth, padTop, padLeft } = geometry;
  return {
    inHeight,
    inWidth,
    inChannels,
    outHeight,
    outWidth,
    multiplier: outChannels / inChannels,
    kernelHeight,
    kernelWidth,
    strideHeight,
    strideWidth,
    dilationHeight,
    dilationWidth,
    padTop,
    padLeft,
  };
}

function convolve(kernelName: string, call: KernelArguments<ConvAttributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const [x, filter] = [inputs.x!, inputs.filter!];
  if ((attrs.dataFormat ?? 'NHWC') !== 'NHWC') return runOnHost(kernelName, call);
  const geometry = geometryOf(x, filter, attrs, true);
  const { batch, outHeight, outWidth, outChannels } = geometry;
  const shape = [batch, outHeight, outWidth, outChannels];
  const served = servesConvolution(attrs, geometry, x, filter);
  const epilogue = served ? fusedEpilogue(backend, inputs, attrs, shape) : null;
  if (!epilogue) return runOnHost(kernelName, call);
  return backend.make(shape, 'float32', (y) =>
    launchDepthwise(backend, {
      geometry,
      x: backend.tensor(x).address,
      filter: backend.tensor(filter).address,
      y: y.address,
      epilogue,
    }),
  );
}

export const depthwiseKernels: readonly CudaKernel[] = [DepthwiseConv2dNative, FusedDepthwiseConv2D].map(
  (name) => kernelConfig<ConvAttributes>(name, (call) => convolve(name, call)),
);
