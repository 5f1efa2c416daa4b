/** One convolution as its kernels are told of it. */
import type { ConvGeometry } from '@dsconv/core';
import type { DsconvParams } from '../device/params.js';
import type { ImageLayout } from '../layout/image.js';
import { chunksOf } from '../layout/pack-filter.js';
import { ACTIVATION, type Epilogue } from './epilogue.js';
import type { DeviceFilter } from './filters.js';

export interface ConvolutionCall {
  geometry: ConvGeometry;
  depthwise: boolean;
  /** Depthwise: outputs per channel; else 0. */
  multiplier: number;
  filter: DeviceFilter;
  /** The grid that the activations are rounded to, as `inputImage` lays it out; null for float activations, whose filter is of the form 'float'. */
  image: ImageLayout | null;
  /** Whether the input is that image already, or float32 that is rounded on the way. */
  readsImage: boolean;
  epilogue: Epilogue;
}

/** Device addresses; those that the call does not ask for are 0. */
export interface ConvolutionOperands {
  /** float32 NHWC, or an image. */
  input: number;
  bias: number;
  slopes: number;
  /** float32, or an image. */
  residual: number;
  /** float32 of the output. */
  result: number;
  /** The image that is written. */
  image: number;
}

/** Output pixels of all pictures. */
export function outputPixels({ batch, outHeight, outWidth }: ConvGeometry): number {
  return batch * outHeight * outWidth;
}

/** The struct that all kernels of a call share; tiles and parts of the depth are filled in by those that have them. */
export function paramsOf(call: ConvolutionCall, operands: ConvolutionOperands): DsconvParams {
  const { geometry: g, epilogue: e } = call;
  const residual = e.residual === 'float' ? null : e.residual;
  const { round, image } = e;
  return {
    ...inputParams(call, operands),
    ...filterParams(call),
    bias: e.bias ? operands.bias : 0,
    slopes: e.activation === 'prelu' ? operands.slopes : 0,
    residual: e.residual === 'float' ? operands.residual : 0,
    residualMantissas: residual ? operands.residual : 0,
    residualScales: residual ? operands.residual + residual.scalesAt : 0,
    result: e.writesFloat ? operands.result : 0,
    imageMantissas: image ? operands.image : 0,
    imageScales: image ? operands.image + image.scalesAt : 0,
    partial: 0,
    inHeight: g.inHeight,
    inWidth: g.inWidth,
    inChannels: g.inChannels,
    outHeight: g.outHeight,
    outWidth: g.outWidth,
    outChannels: g.outChannels,
    kernelHeight: g.kernelHeight,
    kernelWidth: g.kernelWidth,
    strideHeight: g.strideHeight,
    strideWidth: g.strideWidth,
    dilationHeight: g.dilationHeight,
    dilationWidth: g.dilationWidth,
    padTop: g.padTop,
    padLeft: g.padLeft,
    pixels: outputPixels(g),
    activation: ACTIVATION[e.activation],
    alpha: e.leakyreluAlpha,
    residualBlock: residual?.blockSize ?? 1,
    residualBlockBytes: residual?.blockBytes ?? 0,
    residualPixelBytes: residual?.pixelBytes ?? 0,
    residualBlocks: residual?.blocks ?? 0,
    outBits: round?.bits ?? 0,
    outBlock: round ? Math.min(round.blockSize, g.outChannels) : 1,
    outPixelBytes: image?.pixelBytes ?? 0,
    outBlocks: image?.blocks ?? 0,
    splits: 1,
    splitChunks: 0,
    tileHeight: 0,
    tileWidth: 0,
    tilesAcross: 0,
    tilesDown: 0,
  };
}

function inputParams(
  { geometry: g, depthwise, image, readsImage }: ConvolutionCall,
  { input }: ConvolutionOperands,
) {
  const groups = depthwise ? 1 : g.groups;
  const depth = depthwise ? 1 : g.inChannels / groups;
  const taps = g.kernelHeight * g.kernelWidth;
  const chunks = chunksOf(taps, depth, image?.blockSize ?? depth);
  return {
    mantissas: image && readsImage ? input : 0,
    scales: image && readsImage ? input + image.scalesAt : 0,
    x: readsImage ? 0 : input,
    groups,
    depth,
    groupOutputs: g.outChannels / groups,
    blockSize: image?.blockSize ?? depth,
    blocks: image?.blocks ?? 1,
    blockBytes: image?.blockBytes ?? 0,
    groupBytes: image?.groupBytes ?? 0,
    pixelBytes: image?.pixelBytes ?? 0,
    bits: image?.bits ?? 0,
    blockChunks: chunks.block,
    groupChunks: chunks.group,
    chunks: taps * chunks.group,
    paddedChunks: chunks.padded,
  };
}

function filterParams({ filter, multiplier }: ConvolutionCall) {
  if (filter.form === 'float') {
    return {
      weights: filter.weights,
      weightScales: 0,
      shifts: 0,
      paddedOutputs: 0,
      multiplier,
      weightBits: 32,
      weightForm: 1,
      halfScales: 0,
      scaleRows: 1,
      unit: 1,
    };
  }
  const { form, bits, weights, scales, shifts, paddedOutputs, halfScales, scaleRows } = filter;
  return {
    weights,
    weightScales: scales,
    shifts,
    paddedOutputs,
    multiplier,
    weightBits: bits,
    weightForm: form === 'fragments' ? 0 : 1,
    halfScales: halfScales ? 1 : 0,
    scaleRows,
    // Weights in fragments are the uppermost bits of their bytes; 2^24 is what the rows' scales are stored without.
    unit: form === 'fragments' ? 2 ** (24 + bits - 8) : 1,
  };
}
