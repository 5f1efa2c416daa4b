/** What follows the sums of float32 convolutions and products: bias, residual, activation (kernels/conv_epilogue.cuh). */
import { type TensorInfo, util } from '@tensorflow/tfjs-core';
import type { CudaBackend } from '../backend.js';

/** As the kernels number them. Those of tiles know the first five; `gemm_finish` follows for the others. */
export const FUSED_ACTIVATIONS = {
  linear: 0,
  relu: 1,
  relu6: 2,
  leakyrelu: 3,
  prelu: 4,
  silu: 5,
  elu: 6,
  sigmoid: 7,
} as const;

/** Activations by TensorFlow.js's names. */
export type FusedActivation = keyof typeof FUSED_ACTIVATIONS;

/** float32 numbers on the device: one per column of the result with `step` 1, one for all with 0. */
export interface ColumnValues {
  address: number;
  step: 0 | 1;
}

/** `activation(sum + bias + residual)` */
export interface FloatEpilogue {
  bias: ColumnValues | null;
  /** Address of float32 values like the result's. They must not lie where the result does. */
  residual: number | null;
  activation: FusedActivation;
  /** Slope of 'leakyrelu' below zero. */
  leakyreluAlpha: number;
  /** Slopes of 'prelu'. */
  slopes: ColumnValues | null;
}

export const NO_EPILOGUE: FloatEpilogue = {
  bias: null,
  residual: null,
  activation: 'linear',
  leakyreluAlpha: 0,
  slopes: null,
};

/** Whether the activation is more than a few instructions, and so has a pass of its own. */
export const needsOwnPass = ({ activation }: FloatEpilogue): boolean => FUSED_ACTIVATIONS[activation] > 4;

/** The fields of a kernel's parameters. */
export function epilogueFields({ bias, residual, activation, leakyreluAlpha, slopes }: FloatEpilogue) {
  return {
    bias: bias?.address ?? 0,
    residual: residual ?? 0,
    slopes: slopes?.address ?? 0,
    biasStep: bias?.step ?? 0,
    slopesStep: slopes?.step ?? 0,
    activation: FUSED_ACTIVATIONS[activation],
    alpha: leakyreluAlpha,
  };
}

/** Inputs and attributes that fused kernels of TensorFlow.js have beside the others. */
export interface FusedInputs {
  bias?: TensorInfo | undefined;
  preluActivationWeights?: TensorInfo | undefined;
}
export interface FusedAttributes {
  activation?: string;
  leakyreluAlpha?: number;
}

/**
 * The epilogue of a fused kernel with a result of `shape`, or null for one that only the CPU has: an unknown activation, or operands that are repeated along
 * other axes than all but the last.
 */
export function fusedEpilogue(
  backend: CudaBackend,
  { bias, preluActivationWeights: slopes }: FusedInputs,
  { activation = 'linear', leakyreluAlpha = 0.2 }: FusedAttributes,
  shape: readonly number[],
): FloatEpilogue | null {
  if (!(activation in FUSED_ACTIVATIONS)) return null;
  if ([bias, slopes].some((tensor) => tensor && tensor.dtype !== 'float32')) return null;
  const whole = !!bias && util.arraysEqual(bias.shape, [...shape]) && stepOf(bias, shape) === null;
  const biasStep = bias && !whole ? stepOf(bias, shape) : 0;
  const slopesStep = slopes ? stepOf(slopes, shape) : 0;
  if (biasStep === null || slopesStep === null || (activation === 'prelu' && !slopes)) return null;
  const values = (tensor: TensorInfo | undefined, step: 0 | 1): ColumnValues | null =>
    tensor ? { address: backend.tensor(tensor).address, step } : null;
  return {
    bias: whole ? null : values(bias, biasStep),
    residual: whole ? backend.tensor(bias).address : null,
    activation: activation as FusedActivation,
    leakyreluAlpha,
    slopes: values(slopes, slopesStep),
  };
}

/** 0 for a tensor of one value, 1 for one value per column, else null. */
function stepOf(tensor: TensorInfo, shape: readonly number[]): 0 | 1 | null {
  if (tensor.shape.length > shape.length) return null;
  const size = util.sizeFromShape(tensor.shape);
  if (size === 1) return 0;
  return size === shape.at(-1) && tensor.shape.at(-1) === size ? 1 : null;
}
