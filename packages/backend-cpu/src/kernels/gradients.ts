/** Gradients of the float convolutions; `Conv2DBackpropInput` is also `tf.conv2dTranspose`. */
import { type ConvAttributes, geometryOf } from '@dsconv/core';
import {
  Conv2DBackpropFilter,
  Conv2DBackpropInput,
  DepthwiseConv2dNativeBackpropFilter,
  DepthwiseConv2dNativeBackpropInput,
  type KernelConfig,
  type KernelFunc,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import type { GradientCall } from '../engine.js';
import { hasEngine, type KernelArguments, runCpuKernel } from './fallback.js';

type Kernel = Omit<KernelConfig, 'backendName'>;

type InputArguments = KernelArguments<
  { dy: TensorInfo; filter: TensorInfo },
  ConvAttributes & { inputShape: number[] }
>;

type FilterArguments = KernelArguments<
  { x: TensorInfo; dy: TensorInfo },
  ConvAttributes & { filterShape: number[] }
>;

function byInput(kernelName: string, depthwise: boolean): Kernel {
  const run = (args: InputArguments): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { dy, filter } = inputs;
    const { inputShape } = attrs;
    const gradient = hasEngine(backend, dy, filter)
      ? gradientOf(inputShape, filter.shape, dy.shape, attrs, depthwise)
      : null;
    const extra = backend.engine?.extra;
    if (!gradient || !extra) return runCpuKernel(kernelName, args);
    const [from, weights] = [backend.operand(dy), backend.operand(filter)];
    return backend.fill(inputShape, (_engine, dx) =>
      extra.convolutionBackpropInput(gradient, from, weights, dx),
    );
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

function byFilter(kernelName: string, depthwise: boolean): Kernel {
  const run = (args: FilterArguments): TensorInfo => {
    const { inputs, backend, attrs } = args;
    const { x, dy } = inputs;
    const { filterShape } = attrs;
    const gradient = hasEngine(backend, x, dy)
      ? gradientOf(x.shape, filterShape, dy.shape, attrs, depthwise)
      : null;
    const extra = backend.engine?.extra;
    if (!gradient || !extra) return runCpuKernel(kernelName, args);
    const [input, from] = [backend.operand(x), backend.operand(dy)];
    return backend.fill(filterShape, (_engine, dw) =>
      extra.convolutionBackpropFilter(gradient, input, from, dw),
    );
  };
  return { kernelName, kernelFunc: run as unknown as KernelFunc };
}

/** The forward convolution, or null where it is none that the engine knows, or does not give a tensor of dy's shape. */
function gradientOf(
  inputShape: number[],
  filterShape: number[],
  dyShape: number[],
  attrs: ConvAttributes,
  depthwise: boolean,
): GradientCall | null {
  if ((attrs.dataFormat ?? 'NHWC') !== 'NHWC') return null;
  const geometry = geometryOf({ shape: inputShape }, { shape: filterShape }, attrs, depthwise);
  const { batch, outHeight, outWidth, outChannels } = geometry;
  if ([batch, outHeight, outWidth, outChannels].join() !== dyShape.join()) return null;
  return { geometry, multiplier: depthwise ? filterShape[3]! : 0 };
}

export const gradientKernels: Kernel[] = [
  byInput(Conv2DBackpropInput, false),
  byFilter(Conv2DBackpropFilter, false),
  byInput(DepthwiseConv2dNativeBackpropInput, true),
  byFilter(DepthwiseConv2dNativeBackpropFilter, true),
];
