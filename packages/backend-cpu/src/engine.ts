/** What a tier computes with. Kernels speak to this interface; whether memory is a heap or typed arrays is the engine's business. */
import type {
  Activation,
  BinaryCode,
  ConvGeometry,
  DSConvFilter,
  ExtraBinaryCode,
  ExtraUnaryCode,
  MatMulShape,
} from '@dsconv/core';
import type { TensorEntry } from './tensor-entry.js';
import type { WasmHeap } from './wasm/heap.js';

/** float32 values as an engine takes them: an address in its heap, or a typed array. */
export type Operand = number | Float32Array;

/** A convolution with its epilogue; operands that are absent are null. */
export interface ConvolutionCall {
  geometry: ConvGeometry;
  x: Operand;
  y: Operand;
  bias: Operand | null;
  residual: Operand | null;
  slopes: Operand | null;
  activation: Activation;
  leakyreluAlpha: number;
}

export interface MatMulCall extends MatMulShape {
  a: Operand;
  b: Operand;
  y: Operand;
  bias: Operand | null;
  slopes: Operand | null;
  activation: Activation;
  leakyreluAlpha: number;
}

export type { BinaryCode, ExtraBinaryCode, ExtraUnaryCode };
/** What training uses, and plans do not know. */
export type TrainingUnaryCode = 'step' | 'square' | 'sqrt' | 'rsqrt' | 'negate';

/** Kernels that only the native tier has. Elsewhere TensorFlow.js's own CPU kernels serve. */
export interface ExtraKernels {
  /**
   * Gradient of `conv2d` by its input: fills `dx`, shaped as the geometry's input, from `dy`, shaped as its output, and the filter
   * `[kh, kw, C, O]`; of `depthwise` from a filter `[kh, kw, C, multiplier]`.
   */
  convolutionBackpropInput(gradient: GradientCall, dy: Operand, filter: Operand, dx: Operand): void;
  /** Gradient by the filter: fills `dw`, shaped as the filter. */
  convolutionBackpropFilter(gradient: GradientCall, x: Operand, dy: Operand, dw: Operand): void;
  /** Softmax of rows of `channels`. */
  softmax(x: Operand, y: Operand, rows: number, channels: number): void;
  /** `y[i] = a[i] op b[i % period]`; NaN on either side gives NaN. */
  extraBinary(code: ExtraBinaryCode, a: Operand, b: Operand, y: Operand, count: number, period: number): void;
  /** @param alpha what `step` gives from 0 down; others ignore it */
  extraUnary(
    code: ExtraUnaryCode | TrainingUnaryCode,
    x: Operand,
    y: Operand,
    count: number,
    alpha: number,
  ): void;
  /** `y[o, i] = Σ_m x[o, m, i]`. */
  sum(x: Operand, y: Operand, outer: number, middle: number, inner: number): void;
  /** Copies a box out of `x` into `y`, the rest of which stays. */
  copyBox(x: Operand, y: Operand, box: Box): void;
  /** Gradient of `pool`: fills `dx`; `x` is what the pool read, which only maxima need. Each output of a mean spreads over the inputs it read. */
  poolGradient(
    kind: 'max' | 'avg',
    x: Operand | null,
    dy: Operand,
    dx: Operand,
    geometry: ConvGeometry,
  ): void;
  /** Gradient of `bfpRound`: `dx` is `dy` where the clamp changed nothing of `x`, else 0. */
  bfpGradient(
    x: Operand,
    dy: Operand,
    dx: Operand,
    pixels: number,
    channels: number,
    format: { bits: number; blockSize: number; groups: number },
  ): void;
  /** Mean and variance of every channel of `[rows, channels]`. */
  batchMoments(x: Operand, mean: Operand, variance: Operand, rows: number, channels: number): void;
  /** `y = (x - mean) / √(variance + ε) * gamma + beta`. */
  batchNormalize(given: BatchNormOperands, beta: Operand, y: Operand): void;
  /** Its gradient where mean and variance are those of x: fills `dx`, `dgamma` and `dbeta`. */
  batchNormGradient(
    given: BatchNormOperands,
    dy: Operand,
    gradients: { dx: Operand; dgamma: Operand; dbeta: Operand },
  ): void;
}

/** Rows of channels, and the numbers by which they are normalized. */
export interface BatchNormOperands {
  x: Operand;
  mean: Operand;
  variance: Operand;
  gamma: Operand;
  epsilon: number;
  rows: number;
  channels: number;
}

/** Where a box lies in two row-major tensors of 1 to 6 axes. */
export interface Box {
  size: readonly number[];
  xShape: readonly number[];
  xFrom: readonly number[];
  yShape: readonly number[];
  yFrom: readonly number[];
}

/** The forward convolution whose gradient is asked for; `multiplier` 0 means a full convolution, else a depthwise one. */
export interface GradientCall {
  geometry: ConvGeometry;
  multiplier: number;
}

export interface Engine {
  /** Where tensors live in the WebAssembly tiers, else null. */
  readonly heap: WasmHeap | null;
  /** What this tier has beyond the other methods, or null. */
  readonly extra: ExtraKernels | null;
  /** The values of a tensor. They may move into the engine's memory. */
  operand(entry: TensorEntry): Operand;
  /** A new float32 tensor whose values are not set. */
  allocate(length: number): TensorEntry;

  /** `DSConv2D` and `DSDepthwiseConv2D`; `mantissa` 0 means float activations. */
  dsconv(call: ConvolutionCall, filter: DSConvFilter, mantissa: number): void;
  /** Rounds rows of `channels` to the BFP grid; `y` may be `x`. */
  bfpRound(
    x: Operand,
    y: Operand,
    pixels: number,
    channels: number,
    format: { bits: number; blockSize: number; groups: number },
  ): void;
  /** Float convolution with the HWIO filter in an entry, which may keep a packing of it. */
  conv2d(call: ConvolutionCall, filter: TensorEntry): void;
  /** Float depthwise convolution, filter `[kh, kw, C, multiplier]`. */
  depthwise(call: ConvolutionCall, filter: TensorEntry, multiplier: number): void;
  matMul(call: MatMulCall): void;
  pool(kind: 'max' | 'avg', x: Operand, y: Operand, geometry: ConvGeometry): void;
  /** Mean over the pixels of each picture. */
  mean(x: Operand, y: Operand, batch: number, pixels: number, channels: number): void;
  /** `y[i] = a[i] op b[i % period]`. */
  binary(code: BinaryCode, a: Operand, b: Operand, y: Operand, count: number, period: number): void;
  /** `y[i] = activation(x[i])`; prelu takes `slopes[i % period]`. */
  unary(
    code: Activation,
    x: Operand,
    y: Operand,
    count: number,
    alpha: number,
    slopes: Operand | null,
    period: number,
  ): void;
  /** `y[i] = x[i] * scale[i % channels] + shift[i % channels]`. */
  scaleShift(x: Operand, y: Operand, count: number, scale: Float32Array, shift: Float32Array): void;

  /** What `tf.memory()` adds. */
  memory(): Record<string, number>;
}
