import { DS_DEPTHWISE_CONV2D, DSCONV2D, TraceError } from '@dsconv/core';
import {
  _FusedMatMul,
  Add,
  AvgPool,
  BatchMatMul,
  Cast,
  ClipByValue,
  Concat,
  Conv2D,
  DepthwiseConv2dNative,
  FusedBatchNorm,
  FusedConv2D,
  FusedDepthwiseConv2D,
  LeakyRelu,
  MaxPool,
  Mean,
  Multiply,
  PadV2,
  Prelu,
  Relu,
  Relu6,
  Sigmoid,
  Slice,
  Softmax,
  Sub,
  util,
} from '@tensorflow/tfjs-core';
import { lowerBinary } from './lower-binary.js';
import { lowerConvolution, lowerDSConv, lowerPool } from './lower-convolution.js';
import { lowerMatMul } from './lower-mat-mul.js';
import { type Lowering, made } from './lowering.js';
import type { UnaryStep } from './program.js';

export const LOWERINGS: Readonly<Record<string, Lowering>> = {
  [DSCONV2D]: lowerDSConv,
  [DS_DEPTHWISE_CONV2D]: lowerDSConv,
  [Conv2D]: lowerConvolution(false),
  [FusedConv2D]: lowerConvolution(false),
  [DepthwiseConv2dNative]: lowerConvolution(true),
  [FusedDepthwiseConv2D]: lowerConvolution(true),
  [MaxPool]: lowerPool('max'),
  [AvgPool]: lowerPool('avg'),
  [BatchMatMul]: lowerMatMul,
  [_FusedMatMul]: lowerMatMul,
  [Add]: lowerBinary('add', 'add'),
  [Sub]: lowerBinary('sub', 'reverseSub'),
  [Multiply]: lowerBinary('mul', 'mul'),
  [Relu]: unary('relu'),
  [Relu6]: unary('relu6'),
  [Sigmoid]: unary('sigmoid'),
  [LeakyRelu]: unary('leakyrelu'),
  [Prelu]: unary('prelu'),
  [ClipByValue]: (node, context) => {
    const { clipValueMin, clipValueMax } = node.attributes;
    if (clipValueMin !== 0 || clipValueMax !== 6) {
      throw new TraceError(
        `operation ClipByValue to ${clipValueMin}..${clipValueMax} is not known to plans; expected 0..6`,
      );
    }
    return unary('relu6')(node, context);
  },
  [Mean]: (node, { resolve }) => {
    const { x } = node.inputs;
    const axes = util.parseAxisParam(node.attributes.axis as number | number[], [...x!.shape]);
    if (x!.shape.length !== 4 || axes.length !== 2 || !axes.includes(1) || !axes.includes(2)) {
      throw new TraceError(
        `operation Mean over the axes [${axes}] of [${x!.shape}] is not known to plans; expected height and width`,
      );
    }
    const [batch, height, width, channels] = x!.shape as [number, number, number, number];
    return { op: 'mean', input: resolve(x!), batch, pixels: height * width, channels, ...made(node) };
  },
  [FusedBatchNorm]: (node, { resolve, constant }) => {
    const { x, mean, variance, scale, offset } = node.inputs;
    const channels = x!.shape.at(-1)!;
    const [means, variances, gammas, betas] = [mean, variance, scale, offset].map(constant);
    if (means?.length !== channels || variances?.length !== channels) {
      throw new TraceError('operation FusedBatchNorm with computed statistics is not known to plans');
    }
    const epsilon = (node.attributes.varianceEpsilon as number | undefined) ?? 0.001;
    const factor = Float32Array.from(variances, (v, c) => (gammas ? gammas[c]! : 1) / Math.sqrt(v + epsilon));
    const shift = Float32Array.from(means, (m, c) => (betas ? betas[c]! : 0) - m * factor[c]!);
    const count = util.sizeFromShape([...x!.shape]);
    return {
      op: 'scaleShift',
      input: resolve(x!),
      scale: factor,
      shift,
      count,
      activation: 'linear',
      ...made(node),
    };
  },
  [Softmax]: (node, { resolve }) => {
    const { logits } = node.inputs;
    const channels = logits!.shape.at(-1) ?? 1;
    const dim = node.attributes.dim as number;
    if (dim !== -1 && dim !== logits!.shape.length - 1) {
      throw new TraceError(`operation Softmax over axis ${dim} is not known to plans; expected the last one`);
    }
    const rows = util.sizeFromShape([...logits!.shape]) / channels;
    return { op: 'softmax', input: resolve(logits!), rows, channels, ...made(node) };
  },
  [Concat]: (node, { resolve, alias }) => {
    const inputs = Object.values(node.inputs).filter(({ shape }) => util.sizeFromShape([...shape]) > 0);
    const [output] = node.outputs;
    if (inputs.length === 1) {
      alias(output!, inputs[0]!);
      return null;
    }
    const axis = util.parseAxisParam(node.attributes.axis as number, [...output!.shape])[0];
    if (axis !== output!.shape.length - 1) {
      throw new TraceError(
        `operation Concat along axis ${axis} is not known to plans; expected the last one`,
      );
    }
    const channels = inputs.map(({ shape }) => shape.at(-1)!);
    const pixels = util.sizeFromShape([...output!.shape]) / output!.shape.at(-1)!;
    return { op: 'concat', inputs: inputs.map(resolve), channels, pixels, ...made(node) };
  },
  // LayersModel.predict slices its input into batches; with one batch the slice is the whole.
  [Slice]: (node, { alias }) => {
    const { x } = node.inputs;
    const [output] = node.outputs;
    if (x!.shape.join() !== output!.shape.join()) {
      throw new TraceError(
        `operation Slice of [${output!.shape}] from [${x!.shape}] is not known to plans; expected the whole`,
      );
    }
    alias(output!, x!);
    return null;
  },
  [Cast]: (node, { alias }) => {
    const { x } = node.inputs;
    const [output] = node.outputs;
    if (x!.dtype !== output!.dtype) {
      throw new TraceError(`operation Cast from ${x!.dtype} to ${output!.dtype} is not known to plans`);
    }
    alias(output!, x!);
    return null;
  },
  [PadV2]: (node, { resolve }) => {
    const { x } = node.inputs;
    const paddings = node.attributes.paddings as [number, number][];
    const value = (node.attributes.constantValue as number | undefined) ?? 0;
    const base = { op: 'pad' as const, input: resolve(x!), value, ...made(node) };
    const padded = paddings.flatMap(([before, after], axis) => (before + after > 0 ? [axis] : []));
    if (x!.shape.length === 4 && padded.every((axis) => axis === 1 || axis === 2)) {
      const [batch, height, width, channels] = x!.shape as [number, number, number, number];
      const [[top, bottom], [left, right]] = [paddings[1]!, paddings[2]!];
      return { ...base, batch, height, width, channels, top, bottom, left, right };
    }
    // A border of channels is a border of width where every pixel counts as an image of one row.
    if (padded.every((axis) => axis === x!.shape.length - 1)) {
      const width = x!.shape.at(-1)!;
      const [left, right] = paddings.at(-1)!;
      const batch = util.sizeFromShape([...x!.shape]) / width;
      return { ...base, batch, height: 1, width, channels: 1, top: 0, bottom: 0, left, right };
    }
    throw new TraceError(
      `operation PadV2 of the axes [${padded}] is not known to plans; expected height and width, or the last one`,
    );
  },
};

function unary(code: UnaryStep['code']): Lowering {
  return (node, { resolve, constant }) => {
    const { x, alpha } = node.inputs;
    const slopes = code === 'prelu' ? constant(alpha) : null;
    if (code === 'prelu' && slopes?.length !== x!.shape.at(-1)) {
      throw new TraceError(
        'operation Prelu with computed slopes, or slopes that are not one per channel, is not known to plans',
      );
    }
    const slope = (node.attributes.alpha as number | undefined) ?? 0;
    const count = util.sizeFromShape([...x!.shape]);
    return { op: 'unary', code, input: resolve(x!), count, alpha: slope, slopes, ...made(node) };
  };
}
