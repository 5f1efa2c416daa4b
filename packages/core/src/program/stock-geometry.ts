/** From the attributes of TensorFlow.js's kernels to the geometry that the engines take. */
import { backend_util } from '@tensorflow/tfjs-core';
import type { ConvGeometry } from '../geometry.js';

/** The union of the attributes of `Conv2D`, `DepthwiseConv2dNative` and their fused forms. */
export interface ConvAttributes {
  strides: number | [number, number];
  pad: 'same' | 'valid' | number | backend_util.ExplicitPadding;
  dilations?: number | [number, number];
  dataFormat?: string;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  activation?: string;
  leakyreluAlpha?: number;
}

export interface PoolAttributes {
  filterSize: number | [number, number];
  strides: number | [number, number];
  pad: 'same' | 'valid' | number | backend_util.ExplicitPadding;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/** Resolves a stock convolution's attributes. */
export function geometryOf(
  x: { readonly shape: readonly number[] },
  filter: { readonly shape: readonly number[] },
  attrs: ConvAttributes,
  depthwise: boolean,
): ConvGeometry {
  const info = backend_util.computeConv2DInfo(
    [...x.shape] as [number, number, number, number],
    [...filter.shape] as [number, number, number, number],
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
    depthwise,
  );
  return geometryFrom(info);
}

/** TensorFlow.js's description of a window as ours. */
export function geometryFrom(info: backend_util.Conv2DInfo): ConvGeometry {
  return {
    batch: info.batchSize,
    inHeight: info.inHeight,
    inWidth: info.inWidth,
    inChannels: info.inChannels,
    outHeight: info.outHeight,
    outWidth: info.outWidth,
    outChannels: info.outChannels,
    kernelHeight: info.filterHeight,
    kernelWidth: info.filterWidth,
    strideHeight: info.strideHeight,
    strideWidth: info.strideWidth,
    dilationHeight: info.dilationHeight,
    dilationWidth: info.dilationWidth,
    padTop: info.padInfo.top,
    padBottom: info.padInfo.bottom,
    padLeft: info.padInfo.left,
    padRight: info.padInfo.right,
    groups: 1,
  };
}

/** Resolves a pooling's attributes; channels in and out are the same. */
export function poolGeometry(x: { readonly shape: readonly number[] }, attrs: PoolAttributes): ConvGeometry {
  const shape = [...x.shape] as [number, number, number, number];
  const { filterSize, strides, pad, dimRoundingMode } = attrs;
  const info = backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode);
  return geometryFrom(info);
}
