/** What a tier computes with. Kernels speak to this interface; whether memory is a heap or typed arrays is the engine's business. */
import type { Activation, ConvGeometry, DSConvFilter } from '@dsconv/core';
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

/** Rows of `[batch] m × k` times `[batch] k × n`; strides are elements from one batch entry to the next, 0 broadcasts. */
export interface MatMulCall {
  a: Operand;
  b: Operand;
  y: Operand;
  batch: number;
  m: number;
  k: number;
  n: number;
  transposeA: boolean;
  transposeB: boolean;
  aStride: number;
  bStride: number;
  bias: Operand | null;
  slopes: Operand | null;
  activation: Activation;
  leakyreluAlpha: number;
}

export type BinaryCode = 'add' | 'sub' | 'mul' | 'reverseSub';

export interface Engine {
  /** Where tensors live in the WebAssembly tiers, else null. */
  readonly heap: WasmHeap | null;
  /** The values of a tensor. They may move into the engine's memory. */
  operand(entry: TensorEntry): Operand;
  /** A new float32 tensor whose values are not set. */
  allocate(length: number): TensorEntry;

  /** `DSConv2D` and `DSDepthwiseConv2D`; `mantissa` 0 means float activations. */
  dsconv(call: ConvolutionCall, filter: DSConvFilter, mantissa: number): void;
  /** Rounds rows of `channels` to the BFP grid, in place. */
  bfpRound(
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
