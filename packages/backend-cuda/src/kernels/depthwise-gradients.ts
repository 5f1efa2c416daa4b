/** Gradients of float depthwise convolutions. */
import type { ConvAttributes, ConvGeometry } from '@dsconv/core';
import {
  DepthwiseConv2dNativeBackpropFilter,
  DepthwiseConv2dNativeBackpropInput,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import { blocksFor, type Launcher } from '../device/launch.js';
import { packDepthwiseFloatFilterGradient, packDepthwiseFloatInputGradient } from '../device/params.js';
import { runOnHost } from '../fallback.js';
import { servesConvolution } from './conv2d.js';
import { NO_EPILOGUE } from './conv2d-epilogue.js';
import { forwardGeometry } from './conv2d-gradients.js';
import { depthwiseFields } from './depthwise.js';
import { aligned, inFours, launchFinish } from './mat-mul-tiles.js';

const THREADS = 256;
/** Outputs of a block of the gradient by the filter. */
const LANES = 32;
/** Pixels of a block at least, and into how many blocks they are split at most. */
const LEAST_PIXELS = 256;
const MOST_SPLITS = 256;

export interface DepthwiseInputGradientCall {
  geometry: ConvGeometry;
  /** Device addresses of float32 values shaped as the convolution's output, filter and input. */
  dy: number;
  filter: number;
  dx: number;
}

export function launchDepthwiseInputGradient(launcher: Launcher, call: DepthwiseInputGradientCall): void {
  const { geometry, dy, filter, dx } = call;
  const { inChannels, outChannels } = geometry;
  const pixels = geometry.batch * geometry.inHeight * geometry.inWidth;
  const quads = inChannels === outChannels && inFours(inChannels) && aligned(dy, filter, dx);
  const fast = quads && launcher.tier !== 'naive';
  launcher.launch({
    kernel: fast ? 'depthwise_float_input_gradient' : 'depthwise_float_input_gradient_any',
    grid: [blocksFor((pixels * inChannels) / (fast ? 4 : 1), THREADS)],
    threads: THREADS,
    params: packDepthwiseFloatInputGradient({ ...depthwiseFields(geometry), dy, filter, dx, pixels }),
  });
}

export interface DepthwiseFilterGradientCall {
  geometry: ConvGeometry;
  /** Device addresses of float32 values shaped as the convolution's input, output and filter. */
  x: number;
  dy: number;
  dw: number;
  /** For tests: blocks that share the pixels. */
  splits?: number;
}

export function launchDepthwiseFilterGradient(launcher: Launcher, call: DepthwiseFilterGradientCall): void {
  const { geometry, x, dy, dw } = call;
  const pixels = geometry.batch * geometry.outHeight * geometry.outWidth;
  const [taps, columns] = [geometry.kernelHeight * geometry.kernelWidth, geometry.outChannels];
  const blocks = Math.ceil(columns / LANES) * taps;
  const wanted =
    call.splits ??
    Math.min(
      MOST_SPLITS,
      Math.ceil(pixels / LEAST_PIXELS),
      Math.ceil((8 * launcher.device.info.multiprocessors) / blocks),
    );
  const splitDepth = Math.max(1, Math.ceil(pixels / Math.max(1, wanted)));
  const splits = Math.max(1, Math.ceil(pixels / splitDepth));
  const fields = { ...depthwiseFields(geometry), x, dy, pixels };
  if (launcher.tier === 'naive') {
    launcher.launch({
      kernel: 'depthwise_float_filter_gradient_naive',
      grid: [blocksFor(taps * columns, THREADS)],
      threads: THREADS,
      params: packDepthwiseFloatFilterGradient({ ...fields, dw, splitDepth: pixels }),
    });
    return;
  }
  const launch = (to: number): void =>
    launcher.launch({
      kernel: 'depthwise_float_filter_gradient',
      grid: [Math.ceil(columns / LANES), taps, splits],
      threads: THREADS,
      params: packDepthwiseFloatFilterGradient({ ...fields, dw: to, splitDepth }),
    });
  if (splits === 1) {
    launch(dw);
    return;
  }
  launcher.temporary(splits * taps * columns * Float32Array.BYTES_PER_ELEMENT, (partial) => {
    launch(partial);
    launchFinish(launcher, { partial, splits, y: dw, rows: taps, columns, epilogue: NO_EPILOGUE });
  });
}

type InputAttributes = ConvAttributes & { inputShape: number[] };
type FilterAttributes = ConvAttributes & { filterShape: number[] };

function byInput(call: KernelArguments<InputAttributes>): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = call;
  const [dy, filter] = [inputs.dy!, inputs.filter!];
  const geometry = forwardGeometry(attrs.inputShape, filter.shape, dy, attrs, true);
  if (!geometry || !servesConvolution(attrs, geometry, dy, filter)) {
    return runOnHost(DepthwiseConv2dNativeBackpropInput, call);
  }
  return backend.make(attrs.inputShape, 'float32', (dx) =>
    launchDepthwiseInputGradient(backend, {
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
  const geometry = forwardGeometry(x.shape, attrs.filterShape, dy, attrs, true);
  if (!geometry || !servesConvolution(attrs, geometry, x, dy)) {
    return runOnHost(DepthwiseConv2dNativeBackpropFilter, call);
  }
  return backend.make(attrs.filterShape, 'float32', (dw) =>
    launchDepthwiseFilterGradient(backend, {
      geometry,
      x: backend.tensor(x).address,
      dy: backend.tensor(dy).address,
      dw: dw.address,
    }),
  );
}

export const depthwiseGradientKernels: readonly CudaKernel[] = [
  kernelConfig<InputAttributes>(DepthwiseConv2dNativeBackpropInput, byInput),
  kernelConfig<FilterAttributes>(DepthwiseConv2dNativeBackpropFilter, byFilter),
];
