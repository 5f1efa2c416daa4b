/** The operators. They validate, resolve the geometry and dispatch a kernel to the current TensorFlow.js backend, as `tf.conv2d` does. */
import {
  getBackend,
  getKernel,
  reshape,
  type Tensor,
  type Tensor3D,
  type Tensor4D,
} from '@tensorflow/tfjs-core';
import { type BfpFormat, checkBfpFormat } from './bfp.js';
import {
  ACTIVATIONS,
  type Activation,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  type DSConvKernelName,
  getDSConvBackend,
  specOf,
} from './contract.js';
import { InvalidArgumentError, UnsupportedError } from './errors.js';
import type { DSConvFilter } from './filter.js';
import { type ConvGeometry, type Padding, resolveGeometry } from './geometry.js';
import { type DSConvInputs, runWithGradient } from './gradients.js';

/** Optional arguments of {@link dsconv2d} and {@link dsDepthwiseConv2d}. */
export interface DSConvOptions {
  /** Default 1. May be combined with strides. */
  dilations?: number | readonly [number, number];
  /** `[outChannels]`. */
  bias?: Tensor | undefined;
  /** Added before the activation; shape of the output. */
  residual?: Tensor | undefined;
  /** Default 'linear'. */
  activation?: Activation;
  /** Slope of 'leakyrelu' below zero. Default 0.2, as in tf.leakyRelu. */
  leakyreluAlpha?: number;
  /** Slopes of 'prelu' below zero, `[outChannels]`. */
  preluActivationWeights?: Tensor | undefined;
  /** Mantissa bits of the block-floating-point activations, 2 to 8, or null for float activations. Default 8. */
  activationBits?: number | null;
  /** Round the result to this BFP grid; it stays a float32 tensor. */
  outputFormat?: BfpFormat | null;
}

export interface DSConv2dOptions extends DSConvOptions {
  /** Groups the input and output channels are divided into. Default 1. */
  groups?: number;
}

/** Products of integers must be exact in float32: `B * 2^(b-1) * (2^(m-1)-1) <= 2^24` (NUMERICS §4). */
const EXACT_LIMIT = 2 ** 24;

/**
 * Convolution of an NHWC tensor with a quantized filter:
 *
 *     y[o] = bias[o] + Σ_{kh,kw,j} scale[j] * (cds*kds[j] * Σ_{i in j} q*M + (cds*kdsBias[j] + cdsBias) * Σ_{i in j} M)
 *     out  = activation(y + residual), rounded to `outputFormat` if given
 *
 * where `M` and `scale` are the block-floating-point form of `x` (NUMERICS §3, §4).
 *
 * @param x float32 `[batch, height, width, channels]`, or rank 3 without the batch
 * @param filter made by `quantizeFilter`, HWIO with `I = channels / groups`
 * @param strides one number or `[vertical, horizontal]`
 * @param pad 'same', 'valid', a number, or `[[top, bottom], [left, right]]`
 * @returns float32 `[batch, outHeight, outWidth, outChannels]`, rank 3 if `x` was
 * @throws InvalidArgumentError naming the argument, its value and what was expected
 * @throws UnsupportedError with the backend's reason when it declines the case
 * @throws DisposedError when the filter was disposed
 */
export function dsconv2d<T extends Tensor3D | Tensor4D>(
  x: T,
  filter: DSConvFilter,
  strides: number | readonly [number, number],
  pad: Padding,
  options: DSConv2dOptions = {},
): T {
  return run(DSCONV2D, x, filter, strides, pad, options, options.groups ?? 1);
}

/**
 * Depthwise convolution with a quantized filter: one product per tap and output channel, one scale per output channel; activation
 * blocks run over the channels of `x`.
 *
 * @param filter made by `quantizeDepthwiseFilter`, `[kh, kw, channels, multiplier]`
 * Other arguments, result and errors as {@link dsconv2d}.
 */
export function dsDepthwiseConv2d<T extends Tensor3D | Tensor4D>(
  x: T,
  filter: DSConvFilter,
  strides: number | readonly [number, number],
  pad: Padding,
  options: DSConvOptions = {},
): T {
  return run(DS_DEPTHWISE_CONV2D, x, filter, strides, pad, options, 1);
}

function run<T extends Tensor3D | Tensor4D>(
  kernel: DSConvKernelName,
  x: T,
  filter: DSConvFilter,
  strides: number | readonly [number, number],
  pad: Padding,
  options: DSConvOptions,
  groups: number,
): T {
  checkInput(kernel, x, filter);
  const x4 = (x.rank === 3 ? reshape(x, [1, ...(x.shape as [number, number, number])]) : x) as Tensor4D;
  const geometry = resolveGeometry({
    inputShape: x4.shape,
    kernelSize: [filter.shape[0], filter.shape[1]],
    outChannels: filter.outChannels,
    strides,
    pad,
    groups,
    ...(options.dilations === undefined ? {} : { dilations: options.dilations }),
  });
  checkChannels(filter, geometry);
  const attributes = resolveAttributes(filter, geometry, options);
  const inputs = collectInputs(x4, x.rank === 3, attributes, options);
  dispatchable(kernel, attributes, inputs);
  const y = runWithGradient(kernel, inputs, attributes);
  return (x.rank === 3 ? reshape(y, y.shape.slice(1) as [number, number, number]) : y) as T;
}

function checkInput(kernel: DSConvKernelName, x: Tensor, filter: DSConvFilter): void {
  if (x.dtype !== 'float32') {
    throw new InvalidArgumentError(`x has dtype ${x.dtype}; expected float32`);
  }
  if (x.rank !== 3 && x.rank !== 4) {
    throw new InvalidArgumentError(
      `x has shape [${x.shape}]; expected [batch, height, width, channels] or [height, width, channels]`,
    );
  }
  const kind = kernel === DSCONV2D ? 'conv2d' : 'depthwise';
  if (filter.kind !== kind) {
    throw new InvalidArgumentError(`filter is of kind '${filter.kind}'; expected '${kind}'`);
  }
}

function checkChannels(filter: DSConvFilter, geometry: ConvGeometry): void {
  const { inChannels, groups } = geometry;
  const [, , inner, outer] = filter.shape;
  if (filter.kind === 'depthwise' ? inner !== inChannels : inner * groups !== inChannels) {
    throw new InvalidArgumentError(
      `x has ${inChannels} channels and groups is ${groups}, but the filter of shape [${filter.shape}] expects ${filter.kind === 'depthwise' ? inner : inner * groups} channels`,
    );
  }
  if (filter.kind === 'conv2d' && outer % groups !== 0) {
    throw new InvalidArgumentError(
      `groups is ${groups}; expected a divisor of the filter's ${outer} output channels`,
    );
  }
}

function resolveAttributes(
  filter: DSConvFilter,
  geometry: ConvGeometry,
  options: DSConvOptions,
): DSConvAttributes {
  const { activation = 'linear', leakyreluAlpha = 0.2, activationBits = 8, outputFormat = null } = options;
  if (!ACTIVATIONS.includes(activation)) {
    throw new InvalidArgumentError(
      `activation is '${String(activation)}'; expected one of ${ACTIVATIONS.join(', ')}`,
    );
  }
  if (!Number.isFinite(leakyreluAlpha)) {
    throw new InvalidArgumentError(`leakyreluAlpha is ${leakyreluAlpha}; expected a finite number`);
  }
  if (activationBits !== null) {
    if (!Number.isInteger(activationBits) || activationBits < 2 || activationBits > 8) {
      throw new InvalidArgumentError(
        `activationBits is ${activationBits}; expected an integer from 2 to 8, or null`,
      );
    }
    const largest = filter.blockSize * 2 ** (filter.bits - 1) * (2 ** (activationBits - 1) - 1);
    if (largest > EXACT_LIMIT) {
      throw new InvalidArgumentError(
        `blockSize is ${filter.blockSize} at ${filter.bits} weight bits and ${activationBits} activation bits; expected at most ${Math.floor((EXACT_LIMIT * filter.blockSize) / largest)}, so that sums stay exact`,
      );
    }
  }
  if (outputFormat) checkBfpFormat(outputFormat, geometry.outChannels, 'outputFormat');
  return {
    filter,
    geometry,
    activation,
    leakyreluAlpha,
    activationBits,
    outputFormat: outputFormat ? { groups: 1, ...outputFormat } : null,
  };
}

function collectInputs(
  x: Tensor4D,
  wasRank3: boolean,
  attributes: DSConvAttributes,
  options: DSConvOptions,
): DSConvInputs {
  const { batch, outHeight, outWidth, outChannels } = attributes.geometry;
  const inputs: DSConvInputs = { x };
  const vector = (name: 'bias' | 'preluActivationWeights'): void => {
    const tensor = options[name];
    if (!tensor) return;
    if (tensor.size !== outChannels || tensor.shape.at(-1) !== outChannels || tensor.dtype !== 'float32') {
      throw new InvalidArgumentError(
        `${name} is ${tensor.dtype} of shape [${tensor.shape}]; expected float32 [${outChannels}]`,
      );
    }
    inputs[name] = tensor.rank === 1 ? tensor : reshape(tensor, [outChannels]);
  };
  vector('bias');
  const expected = [batch, outHeight, outWidth, outChannels];
  if (options.residual) {
    const { residual } = options;
    const shape = wasRank3 && residual.rank === 3 ? [1, ...residual.shape] : residual.shape;
    if (shape.join() !== expected.join() || residual.dtype !== 'float32') {
      throw new InvalidArgumentError(
        `residual is ${residual.dtype} of shape [${residual.shape}]; expected float32 [${wasRank3 ? expected.slice(1) : expected}]`,
      );
    }
    inputs.residual = residual.rank === 4 ? residual : reshape(residual, expected);
  }
  if ((attributes.activation === 'prelu') !== (options.preluActivationWeights !== undefined)) {
    throw new InvalidArgumentError(
      `preluActivationWeights is ${options.preluActivationWeights ? 'given' : 'missing'} with activation '${attributes.activation}'; expected it with 'prelu' only`,
    );
  }
  vector('preluActivationWeights');
  return inputs;
}

/** Turns "kernel not registered" and a backend's refusal into sentences. */
function dispatchable(
  kernel: DSConvKernelName,
  attributes: DSConvAttributes,
  inputs: Record<string, Tensor>,
): void {
  const name = getBackend();
  if (!getKernel(kernel, name)) {
    throw new UnsupportedError(
      `the current TensorFlow.js backend '${name}' has no ${kernel} kernel; expected a backend that a DSConv package registered, such as 'dsconv-cpu'`,
    );
  }
  const spec = specOf(kernel, attributes, {
    bias: 'bias' in inputs,
    residual: 'residual' in inputs,
  });
  const support = getDSConvBackend(name)?.supports(spec) ?? true;
  if (support !== true) {
    throw new UnsupportedError(`backend '${name}' declines this ${kernel}: ${support.reason}`);
  }
}
