/** From a resolved convolution to dispatches: for eager kernels and plans alike. */
import type { Activation, BfpFormat, ConvGeometry } from '@dsconv/core';
import type { Slice } from '../gpu/buffers.js';
import { callBlock, type Epilogue, roundsInTile } from '../gpu/call.js';
import { callDispatch, type Dispatch, rowsDispatch } from '../gpu/dispatch.js';
import type { FloatFilter, GpuState, PackedFilter } from '../gpu/state.js';
import {
  type ConvolutionVariant,
  convolutionVariant,
  depthwiseRowVariant,
  depthwiseVariant,
  floatVariant,
  quantizeVariant,
  type Special,
  specialize,
  TILE_QUADS,
} from '../gpu/variants.js';
import { type ImageLayout, imageLayout } from '../layout/image.js';
import { rowsBlock } from '../layout/rows.js';

export interface ConvolutionCall {
  geometry: ConvGeometry;
  depthwise: boolean;
  /** Depthwise: outputs per channel. */
  multiplier: number;
  /** Block of the filter. */
  blockSize: number;
  filter: PackedFilter | FloatFilter;
  /** Layout of the image in `input`, or null where that is float32. */
  image: ImageLayout | null;
  epilogue: Epilogue;
  /** Whether a shader is made for this kind of call, as plans want it; else one that serves all kinds does. */
  special: boolean;
}

export interface ConvolutionOperands {
  input: Slice;
  bias: Slice | null;
  slopes: Slice | null;
  residual: Slice | null;
  result: Slice | null;
  image: Slice | null;
}

/** Activations that shaders without branches have. */
export const PLAIN: ReadonlySet<Activation> = new Set(['linear', 'relu', 'relu6']);

/** The shader that serves a call. */
export function variantOf(state: GpuState, call: ConvolutionCall): ConvolutionVariant {
  const variant = generalVariantOf(state, call);
  if (!call.special || !('bits' in call.filter) || variant.tile === null) return variant;
  const { groups, outChannels } = call.geometry;
  const quads = Math.ceil(outChannels / (call.depthwise ? 1 : groups) / 4);
  const special = specialize(variant, specialOf(call), quads);
  return state.disabled.has(special.key) ? variant : special;
}

function generalVariantOf(state: GpuState, call: ConvolutionCall): ConvolutionVariant {
  const { filter, image, depthwise } = call;
  if (depthwise) {
    const row = rowVariantOf(call);
    return row && !state.disabled.has(row.key) ? row : depthwiseVariant(image === null);
  }
  if (image === null || !('bits' in filter)) return floatVariant(!('bits' in filter));
  return convolutionVariant(state.tier, filter.shiftAt !== 0);
}

/** The shader for windows three pixels wide, if it serves a depthwise call. */
function rowVariantOf({ geometry: g, image, multiplier }: ConvolutionCall): ConvolutionVariant | null {
  const { kernelWidth, strideWidth: stride, dilationWidth } = g;
  if (multiplier !== 1 || kernelWidth !== 3 || dilationWidth !== 1) return null;
  if (image && image.blocks > 1 && image.blockSize % 4 !== 0) return null;
  return stride === 1 || stride === 2 ? depthwiseRowVariant(image === null, stride) : null;
}

function specialOf({ depthwise, filter, epilogue: e }: ConvolutionCall): Special {
  const plain = e.residual === null && PLAIN.has(e.activation);
  const bits = 'bits' in filter ? filter.bits : 32;
  return {
    PLAIN: plain ? 1 : 0,
    // One form or the other; both, and float32 on a grid, are rare.
    ...(!e.image && !e.round && { WRITES: 1, ROUNDS: 0 }),
    ...(e.image && !e.writesFloat && { WRITES: 2, ROUNDS: 1 }),
    // A depthwise layer does little with each weight, and nearly all have eight bits.
    ...(depthwise && bits === 8 && { WEIGHT_BITS: bits }),
  };
}

/** Whether a convolution can write a grid in its epilogue. */
export function roundsItself(
  state: GpuState,
  format: Required<BfpFormat>,
  geometry: ConvGeometry,
  depthwise: boolean,
): boolean {
  if (state.tier === 'naive' && !depthwise) return false;
  return roundsInTile(format, geometry, TILE_QUADS, depthwise);
}

export function convolutionDispatch(
  state: GpuState,
  call: ConvolutionCall,
  operands: ConvolutionOperands,
): Dispatch {
  const { geometry: g, filter, depthwise, multiplier, blockSize, image, epilogue } = call;
  const packed = 'bits' in filter ? filter : null;
  const block = callBlock({
    geometry: g,
    input: image,
    blockSize,
    weights: packed,
    multiplier: depthwise ? multiplier : 0,
    epilogue,
  });
  const groups = depthwise ? 1 : g.groups;
  return callDispatch(
    state,
    variantOf(state, call),
    block as Uint32Array<ArrayBuffer>,
    {
      activations: operands.input,
      weights: { buffer: filter.weights },
      scales: packed && { buffer: packed.scales },
      bias: operands.bias,
      slopes: operands.slopes,
      residual: operands.residual,
      result: operands.result,
      image: operands.image,
    },
    {
      pixels: g.batch * g.outHeight * g.outWidth,
      outWidth: g.outWidth,
      groupQuads: Math.ceil(g.outChannels / groups / 4),
      groups,
    },
  );
}

/** Rounds float32 rows to an image. */
export function quantizeDispatch(state: GpuState, layout: ImageLayout, x: Slice, image: Slice): Dispatch {
  const { words, count } = rowsBlock(layout);
  return rowsDispatch(state, quantizeVariant(true), words, { x, result: null, image }, count);
}

/** Rounds float32 rows in place. */
export function roundDispatch(
  state: GpuState,
  rows: number,
  channels: number,
  format: BfpFormat,
  result: Slice,
): Dispatch {
  const { words, count } = rowsBlock(imageLayout(rows, channels, format));
  return rowsDispatch(state, quantizeVariant(false), words, { x: null, result, image: null }, count);
}

/** The image that a convolution reads. */
export function inputImage(
  geometry: ConvGeometry,
  format: { bits: number; blockSize: number },
  depthwise: boolean,
): ImageLayout {
  const { batch, inHeight, inWidth, inChannels, groups } = geometry;
  return imageLayout(batch * inHeight * inWidth, inChannels, { ...format, groups: depthwise ? 1 : groups });
}
