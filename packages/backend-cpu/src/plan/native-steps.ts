/** Steps of a program in the terms of the addon (native/interface.d.ts); convolutions, whose operands have formats, are native-plan.ts's. */
import type { ConvolutionStep, Step, ValueId } from '@dsconv/core';
import type { BufferId, Sink, StepDescription } from '../../native/interface.js';
import { windowOf } from '../native/call-record.js';
import { ACTIVATION, BINARY, UNARY } from '../native/codes.js';

/**
 * @param channels length of the last axis of the result
 * @param float the float32 buffer of a value
 */
export function describeStep(
  step: Exclude<Step, ConvolutionStep>,
  output: Sink,
  channels: number,
  float: (value: ValueId) => BufferId,
): StepDescription {
  switch (step.op) {
    case 'pool':
      return {
        op: step.kind === 'max' ? 'maxPool' : 'avgPool',
        input: float(step.input),
        output,
        window: windowOf(step.geometry),
      };
    case 'mean': {
      const { batch, pixels: hw, channels } = step;
      return { op: 'meanHW', input: float(step.input), output, batch, hw, channels };
    }
    case 'matMul': {
      const { op, batch, m, k, n, transposeA, transposeB, aStride, bStride, bias, slopes } = step;
      const b = typeof step.b === 'number' ? float(step.b) : step.b;
      const shape = { batch, m, k, n, transposeA, transposeB, aStride, bStride };
      const activation = ACTIVATION[step.activation];
      const alpha = step.leakyreluAlpha;
      return {
        op,
        a: float(step.a),
        b,
        output: output as BufferId,
        ...shape,
        bias,
        activation,
        alpha,
        alphas: slopes,
      };
    }
    case 'binary': {
      const b = typeof step.b === 'number' ? float(step.b) : step.b;
      const { op, count: n, period } = step;
      const activation = ACTIVATION[step.activation];
      return {
        op,
        code: BINARY[step.code],
        a: float(step.a),
        b,
        output,
        n,
        period,
        channels,
        activation,
      };
    }
    case 'unary': {
      const { op, count: n, alpha, slopes } = step;
      const code = UNARY[step.code];
      const period = slopes?.length ?? 1;
      return {
        op,
        code,
        input: float(step.input),
        output,
        n,
        alpha,
        alphas: slopes,
        period,
        channels,
      };
    }
    case 'scaleShift': {
      const { op, scale, shift, count: n } = step;
      const activation = ACTIVATION[step.activation];
      return {
        op,
        input: float(step.input),
        scale,
        shift,
        output,
        n,
        channels: scale.length,
        activation,
      };
    }
    case 'softmax': {
      const { op, rows, channels } = step;
      return { op, input: float(step.input), output: output as BufferId, rows, channels };
    }
    case 'concat': {
      const { op, channels, pixels } = step;
      return { op, inputs: step.inputs.map(float), channels, output, pixels };
    }
    case 'pad': {
      const { op, batch, height: inH, width: inW, channels, top, bottom, left, right, value } = step;
      return {
        op,
        input: float(step.input),
        output,
        batch,
        inH,
        inW,
        channels,
        top,
        bottom,
        left,
        right,
        value,
      };
    }
  }
}
