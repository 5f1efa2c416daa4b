/** Reductions over axes that lie side by side: over the pixels of `[batch, pixels, channels]`. */

import { util } from '@tensorflow/tfjs-core';
import { TraceError, type TraceNode } from '../trace.js';
import { type Lowering, made } from './lowering.js';

/** Resolves the axes, which `Max` calls reductionIndices. @throws TraceError where others lie between them */
function extent(node: TraceNode): { batch: number; pixels: number; channels: number } {
  const { shape } = node.inputs.x!;
  const axes = util
    .parseAxisParam((node.attributes.reductionIndices ?? node.attributes.axis) as number | number[], [
      ...shape,
    ])
    .sort((a, b) => a - b);
  if (axes.length === 0 || axes.at(-1)! - axes[0]! !== axes.length - 1) {
    throw new TraceError(
      `operation ${node.kernel} over the axes [${axes}] of [${shape}] is not known to plans; expected axes side by side`,
    );
  }
  return {
    batch: util.sizeFromShape(shape.slice(0, axes[0])),
    pixels: util.sizeFromShape(shape.slice(axes[0], axes.at(-1)! + 1)),
    channels: util.sizeFromShape(shape.slice(axes.at(-1)! + 1)),
  };
}

export const lowerMean: Lowering = (node, { resolve }) => ({
  op: 'mean',
  input: resolve(node.inputs.x!),
  ...extent(node),
  ...made(node),
});

export const lowerSum: Lowering = (node, { resolve, temporary }) => {
  const { batch, pixels, channels } = extent(node);
  const mean = temporary([batch, channels]);
  const base = made(node);
  return [
    { op: 'mean', input: resolve(node.inputs.x!), batch, pixels, channels, ...base, output: mean },
    {
      op: 'binary',
      code: 'mul',
      a: mean,
      b: Float32Array.of(pixels),
      count: batch * channels,
      period: 1,
      activation: 'linear',
      ...base,
    },
  ];
};

/** A maximum is a pooling with a window as large as the picture. */
export const lowerMax: Lowering = (node, { resolve }) => {
  const { batch, pixels, channels } = extent(node);
  const geometry = {
    batch,
    inHeight: pixels,
    inWidth: 1,
    inChannels: channels,
    outHeight: 1,
    outWidth: 1,
    outChannels: channels,
    kernelHeight: pixels,
    kernelWidth: 1,
    strideHeight: 1,
    strideWidth: 1,
    dilationHeight: 1,
    dilationWidth: 1,
    padTop: 0,
    padBottom: 0,
    padLeft: 0,
    padRight: 0,
    groups: 1,
  };
  return { op: 'pool', kind: 'max', input: resolve(node.inputs.x!), geometry, ...made(node) };
};
