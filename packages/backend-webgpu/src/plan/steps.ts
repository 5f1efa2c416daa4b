/** The steps that are no convolutions, in the words of their shaders. */
import {
  type Activation,
  type BinaryCode,
  type ExtraBinaryCode,
  type ExtraUnaryCode,
  type Operand,
  type Step,
  TraceError,
  type ValueId,
} from '@dsconv/core';
import type { Slice } from '../gpu/buffers.js';
import { ACTIVATION } from '../gpu/call.js';
import { type Dispatch, type Gpu, stepDispatch } from '../gpu/dispatch.js';
import { type StepShader, stepVariant } from '../gpu/step-variants.js';
import type { Variant } from '../gpu/variants.js';

/** One dispatch of a step. */
export interface StepCall {
  variant: Variant;
  a: ValueId;
  b: Operand | null;
  c: Operand | null;
  dispatch(gpu: Gpu, operands: { a: Slice | null; b: Slice | null; c: Slice | null; y: Slice }): Dispatch;
}

type Codes = BinaryCode | ExtraBinaryCode;

/** Codes of elementwise.wgsl. */
const OPERATION: Record<Codes, number> = { add: 1, sub: 2, mul: 3, reverseSub: 4, max: 5, min: 6, div: 7 };
const SCALE_SHIFT = 8;
const FUNCTION: Record<Activation | ExtraUnaryCode, number> = { ...ACTIVATION, sigmoid: 6, tanh: 7, exp: 8 };

const WORKGROUP = 64;

/** A value in a uniform block: float32 ones are marked, all others are whole numbers. */
type Word = number | { float: number };

function block(words: readonly Word[]): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(Math.ceil(words.length / 4) * 4);
  const floats = new Float32Array(out.buffer);
  words.forEach((word, n) => {
    if (typeof word === 'number') out[n] = word;
    else floats[n] = word.float;
  });
  return out;
}

function call(
  shader: StepShader,
  operands: { a: ValueId; b?: Operand | null; c?: Operand | null },
  words: readonly Word[],
  workgroups: number,
): StepCall {
  const variant = stepVariant(shader);
  const { a, b = null, c = null } = operands;
  return {
    variant,
    a,
    b,
    c,
    dispatch: (gpu, slices) =>
      stepDispatch(gpu, variant, block(words), { ...slices, a: slices.a! }, workgroups),
  };
}

/** One invocation for each of `count`. */
const perElement = (count: number): number => Math.ceil(count / WORKGROUP);

function elementwise(
  operands: { a: ValueId; b?: Operand | null; c?: Operand | null },
  count: number,
  period: number,
  operation: number,
  apply: Activation | ExtraUnaryCode,
  alpha = 0,
): StepCall {
  const words = [count, period, operation, FUNCTION[apply], { float: alpha }];
  return call('elementwise', operands, words, perElement(count));
}

/** @throws TraceError for what plans of this backend do not know */
export function describeStep(step: Exclude<Step, { op: 'convolution' }>): StepCall[] {
  switch (step.op) {
    case 'binary': {
      const { a, b, count, period, code, activation } = step;
      return [elementwise({ a, b }, count, period, OPERATION[code], activation)];
    }
    case 'unary': {
      const { input: a, slopes: b, count, code, alpha } = step;
      return [elementwise({ a, b }, count, b?.length ?? 1, 0, code, alpha)];
    }
    case 'scaleShift': {
      const { input: a, scale: b, shift: c, count, activation } = step;
      return [elementwise({ a, b, c }, count, b.length, SCALE_SHIFT, activation)];
    }
    case 'pool': {
      const { geometry: g } = step;
      const count = g.batch * g.outHeight * g.outWidth * g.outChannels;
      const words = [
        count,
        g.inChannels,
        g.inHeight,
        g.inWidth,
        g.outHeight,
        g.outWidth,
        g.kernelHeight,
        g.kernelWidth,
        g.strideHeight,
        g.strideWidth,
        g.dilationHeight,
        g.dilationWidth,
        g.padTop,
        g.padLeft,
        step.kind === 'avg' ? 1 : 0,
      ];
      return [call('pool', { a: step.input }, words, perElement(count))];
    }
    case 'mean': {
      const count = step.batch * step.channels;
      return [call('mean', { a: step.input }, [count, step.pixels, step.channels], perElement(count))];
    }
    case 'softmax':
      return [call('softmax', { a: step.input }, [step.rows, step.channels], step.rows)];
    case 'pad': {
      const { batch, height, width, channels, top, left } = step;
      const [outHeight, outWidth] = [height + top + step.bottom, width + left + step.right];
      const count = batch * outHeight * outWidth * channels;
      const words = [count, height, width, channels, outHeight, outWidth, top, left, { float: step.value }];
      return [call('pad', { a: step.input }, words, perElement(count))];
    }
    case 'concat': {
      const outWidth = step.channels.reduce((sum, width) => sum + width, 0);
      let offset = 0;
      return step.inputs.map((a, n) => {
        const width = step.channels[n]!;
        const count = step.pixels * width;
        const copy = call('copyRows', { a }, [count, width, outWidth, offset], perElement(count));
        offset += width;
        return copy;
      });
    }
    case 'matMul': {
      const { a, b, bias: c, batch, m, k, n } = step;
      if (step.activation === 'prelu') {
        throw new TraceError(
          `operation ${step.source.kernel} with activation ${step.activation} is not known to plans of 'webgpu'`,
        );
      }
      const count = batch * m * n;
      const [aRow, aDepth] = step.transposeA ? [1, m] : [k, 1];
      const [bDepth, bColumn] = step.transposeB ? [1, k] : [n, 1];
      const words = [
        count,
        m,
        n,
        k,
        step.aStride,
        step.bStride,
        aRow,
        aDepth,
        bDepth,
        bColumn,
        c ? 1 : 0,
        FUNCTION[step.activation],
        { float: step.leakyreluAlpha },
      ];
      return [call('matMul', { a, b, c }, words, perElement(count))];
    }
  }
}
