/** A trace in the terms of a backend's kernels: constants resolved, reshapes gone, attributes decoded. All values are float32. */
import type { BfpFormat } from '../bfp.js';
import type { Activation } from '../contract.js';
import type { DSConvFilter } from '../filter.js';
import type { ConvGeometry } from '../geometry.js';
import type { TraceNode, ValueId } from '../trace.js';

/** Element-wise operations of two operands, and of one beside the activations. */
export type BinaryCode = 'add' | 'sub' | 'mul' | 'reverseSub';
export type ExtraBinaryCode = 'max' | 'min' | 'div';
export type ExtraUnaryCode = 'sigmoid' | 'tanh' | 'exp';

/** A constant, or the value of an earlier step. */
export type Operand = ValueId | Float32Array;

export interface StepBase {
  output: ValueId;
  /** The recorded call it comes from, for messages and profiles. */
  source: TraceNode;
}

export interface ConvolutionStep extends StepBase {
  op: 'convolution';
  input: ValueId;
  geometry: ConvGeometry;
  /** A quantized filter, or float weights HWIO (`[kh, kw, C, multiplier]`). */
  filter: DSConvFilter | Float32Array;
  depthwise: boolean;
  /** Depthwise only: outputs per channel. */
  multiplier: number;
  bias: Float32Array | null;
  residual: ValueId | null;
  activation: Activation;
  leakyreluAlpha: number;
  slopes: Float32Array | null;
  activationBits: number | null;
  outputFormat: Required<BfpFormat> | null;
}

export interface PoolStep extends StepBase {
  op: 'pool';
  kind: 'max' | 'avg';
  input: ValueId;
  geometry: ConvGeometry;
}

export interface MeanStep extends StepBase {
  op: 'mean';
  input: ValueId;
  batch: number;
  pixels: number;
  channels: number;
}

/** Matrices `[batch] m × k` times `[batch] k × n`. */
export interface MatMulShape {
  batch: number;
  m: number;
  k: number;
  n: number;
  transposeA: boolean;
  transposeB: boolean;
  /** Elements from one batch entry to the next; 0 broadcasts. */
  aStride: number;
  bStride: number;
}

export interface MatMulStep extends StepBase, MatMulShape {
  op: 'matMul';
  a: ValueId;
  b: Operand;
  bias: Float32Array | null;
  activation: Activation;
  leakyreluAlpha: number;
  slopes: Float32Array | null;
}

/** `y[i] = activation(a[i] op b[i % period])`. */
export interface BinaryStep extends StepBase {
  op: 'binary';
  code: BinaryCode | ExtraBinaryCode;
  a: ValueId;
  b: Operand;
  count: number;
  period: number;
  activation: 'linear' | 'relu' | 'relu6';
}

export interface UnaryStep extends StepBase {
  op: 'unary';
  code: Activation | ExtraUnaryCode;
  input: ValueId;
  count: number;
  alpha: number;
  slopes: Float32Array | null;
}

/** `y[i] = activation(x[i] * scale[c] + shift[c])`. */
export interface ScaleShiftStep extends StepBase {
  op: 'scaleShift';
  input: ValueId;
  scale: Float32Array;
  shift: Float32Array;
  count: number;
  activation: 'linear' | 'relu' | 'relu6';
}

export interface SoftmaxStep extends StepBase {
  op: 'softmax';
  input: ValueId;
  rows: number;
  channels: number;
}

/** Along the last axis. */
export interface ConcatStep extends StepBase {
  op: 'concat';
  inputs: ValueId[];
  channels: number[];
  pixels: number;
}

/** A constant border around height and width. */
export interface PadStep extends StepBase {
  op: 'pad';
  input: ValueId;
  batch: number;
  height: number;
  width: number;
  channels: number;
  top: number;
  bottom: number;
  left: number;
  right: number;
  value: number;
}

export type Step =
  | ConvolutionStep
  | PoolStep
  | MeanStep
  | MatMulStep
  | BinaryStep
  | UnaryStep
  | ScaleShiftStep
  | SoftmaxStep
  | ConcatStep
  | PadStep;

export interface Program {
  steps: Step[];
  inputs: ValueId[];
  outputs: ValueId[];
  /** Elements of each value. */
  sizes: Map<ValueId, number>;
  /** Channels (length of the last axis) of each value. */
  channels: Map<ValueId, number>;
}

/** The values a step reads. */
export function readsOf(step: Step): ValueId[] {
  switch (step.op) {
    case 'convolution':
      return step.residual === null ? [step.input] : [step.input, step.residual];
    case 'matMul':
    case 'binary':
      return typeof step.b === 'number' ? [step.a, step.b] : [step.a];
    case 'concat':
      return step.inputs;
    default:
      return [step.input];
  }
}
