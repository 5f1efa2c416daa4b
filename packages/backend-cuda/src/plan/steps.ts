/** The steps that are no convolutions, by the launches of the eager kernels. */
import type { Activation, ConvolutionStep, Operand, Step, ValueId } from '@dsconv/core';
import type { Launcher } from '../device/launch.js';
import { launchBinary, launchScaleShift, periodAxes } from '../kernels/binary.js';
import { launchConcat } from '../kernels/concat.js';
import { launchConv2d } from '../kernels/conv2d.js';
import type { FloatEpilogue } from '../kernels/conv2d-epilogue.js';
import { launchDepthwise } from '../kernels/depthwise.js';
import { launchMatMul } from '../kernels/mat-mul.js';
import { launchPad } from '../kernels/pad.js';
import { launchPool } from '../kernels/pool.js';
import { launchReduce } from '../kernels/reduce.js';
import { launchSoftmax } from '../kernels/softmax.js';
import { launchUnary } from '../kernels/unary.js';

export type PlainStep = Exclude<Step, { op: 'convolution' }>;

/** Addresses of what a step reads. */
export interface StepOperands {
  /** A value as float32. */
  value(value: ValueId): number;
  /** A constant on the device. */
  constant(values: Float32Array): number;
  /** The same, 0 for none. */
  optional(values: Float32Array | null): number;
}

function addressOf(operand: Operand, { value, constant }: StepOperands): number {
  return typeof operand === 'number' ? value(operand) : constant(operand);
}

/** Launches a step. */
export function launchStep(launcher: Launcher, step: PlainStep, operands: StepOperands, y: number): void {
  const { value, constant } = operands;
  switch (step.op) {
    case 'binary': {
      const { code: operation, count, period, activation: clamp } = step;
      const b = addressOf(step.b, operands);
      launchBinary(launcher, { operation, a: value(step.a), b, y, axes: periodAxes(count, period), clamp });
      return;
    }
    case 'unary': {
      const { code, count, alpha, slopes } = step;
      const x = value(step.input);
      if (code === 'prelu') {
        const axes = periodAxes(count, slopes!.length);
        launchBinary(launcher, { operation: 'prelu', a: x, b: constant(slopes!), y, axes });
      } else {
        launchUnary(launcher, { operation: code === 'linear' ? 'copy' : code, x, y, count, alpha });
      }
      return;
    }
    case 'scaleShift': {
      const { scale, shift, count, activation: clamp } = step;
      const [scales, shifts] = [constant(scale), constant(shift)];
      const channels = scale.length;
      launchScaleShift(launcher, {
        x: value(step.input),
        scale: scales,
        shift: shifts,
        y,
        count,
        channels,
        clamp,
      });
      return;
    }
    case 'mean': {
      const { batch: outer, pixels: n, channels: inner } = step;
      launchReduce(launcher, { operation: 'mean', x: value(step.input), y, outer, n, inner });
      return;
    }
    case 'softmax':
      launchSoftmax(launcher, { x: value(step.input), y, rows: step.rows, channels: step.channels });
      return;
    case 'concat': {
      const { inputs, channels: widths, pixels: rows } = step;
      launchConcat(launcher, { inputs: inputs.map(value), widths, y, rows, bytes: 4 });
      return;
    }
    case 'pad': {
      const { batch, height, width, channels, top, bottom, left, right } = step;
      launchPad(launcher, {
        x: value(step.input),
        y,
        dtype: 'float32',
        shape: [batch, height, width, channels],
        paddings: [
          [0, 0],
          [top, bottom],
          [left, right],
          [0, 0],
        ],
        mode: 'constant',
        value: step.value,
      });
      return;
    }
    case 'pool':
      launchPool(launcher, step.kind, { geometry: step.geometry, x: value(step.input), y });
      return;
    case 'matMul': {
      const { m, k, n, transposeA, transposeB, batch, aStride, bStride } = step;
      launchMatMul(launcher, {
        a: value(step.a),
        b: addressOf(step.b, operands),
        y,
        m,
        k,
        n,
        transposeA,
        transposeB,
        batch: { shape: [batch], aSteps: [aStride / (m * k)], bSteps: [bStride / (k * n)] },
        epilogue: floatEpilogue(step, operands, null),
      });
      return;
    }
  }
}

/** Launches a convolution with float weights, HWIO or `[kh, kw, C, multiplier]`. */
export function launchFloatConvolution(
  launcher: Launcher,
  step: ConvolutionStep,
  weights: Float32Array,
  operands: StepOperands,
  y: number,
): void {
  const residual = step.residual === null ? null : operands.value(step.residual);
  const call = {
    geometry: step.geometry,
    x: operands.value(step.input),
    filter: operands.constant(weights),
    y,
    epilogue: floatEpilogue(step, operands, residual),
  };
  if (step.depthwise) launchDepthwise(launcher, call);
  else launchConv2d(launcher, call);
}

function floatEpilogue(
  step: {
    bias: Float32Array | null;
    activation: Activation;
    leakyreluAlpha: number;
    slopes: Float32Array | null;
  },
  { constant }: StepOperands,
  residual: number | null,
): FloatEpilogue {
  const perColumn = (values: Float32Array | null) =>
    values && { address: constant(values), step: 1 as const };
  const { activation, leakyreluAlpha } = step;
  return { bias: perColumn(step.bias), residual, activation, leakyreluAlpha, slopes: perColumn(step.slopes) };
}
