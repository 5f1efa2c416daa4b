/** The uniform block that a convolution reads (call.wgsl). */
import type { Activation, BfpFormat, ConvGeometry } from '@dsconv/core';
import type { ImageLayout } from '../layout/image.js';

/** Words of the block in their order; the struct in call.wgsl has the same names. */
export const CALL_WORDS = [
  'batch',
  'in_height',
  'in_width',
  'in_channels',
  'out_height',
  'out_width',
  'out_channels',
  'kernel_height',
  'kernel_width',
  'stride_height',
  'stride_width',
  'dilation_height',
  'dilation_width',
  'pad_top',
  'pad_left',
  'groups',
  'pixels',
  'depth',
  'group_outputs',
  'group_quads',
  'block',
  'blocks',
  'block_words',
  'group_words',
  'pixel_words',
  'scales_at',
  'block_weight_words',
  'tap_weight_words',
  'scale_per_block',
  'scale_halves',
  'shift_at',
  'weight_bits',
  'unit',
  'multiplier',
  'inputs',
  'activation',
  'alpha',
  'residual_block',
  'residual_words',
  'residual_scales_at',
  'writes',
  'out_bits',
  'out_block',
  'out_words',
  'out_scales_at',
] as const;

type Word = (typeof CALL_WORDS)[number];

const FLOATS: ReadonlySet<Word> = new Set(['unit', 'alpha']);

/** Codes in output.wgsl and step.wgsl. */
export const ACTIVATION: Record<Activation, number> = {
  linear: 0,
  relu: 1,
  relu6: 2,
  silu: 3,
  leakyrelu: 4,
  prelu: 5,
};

/** What the epilogue of one convolution does. */
export interface Epilogue {
  bias: boolean;
  /** Read as float32, or from an image. */
  residual: 'float' | ImageLayout | null;
  activation: Activation;
  leakyreluAlpha: number;
  /** Rounds to this grid before writing. */
  round: Required<BfpFormat> | null;
  writesFloat: boolean;
  /** The image that is written; its grid is `round`. */
  image: ImageLayout | null;
}

/** Layout of the weights, as `packFilter` gives it; null for float32 weights. */
export interface WeightLayout {
  bits: number;
  blockWords: number;
  tapWords: number;
  scalePerBlock: boolean;
  scaleHalves: boolean;
  shiftAt: number;
}

export interface CallOptions {
  geometry: ConvGeometry;
  /** The image that is read; null where activations are float32. */
  input: ImageLayout | null;
  /** Block of the filter, for float activations. */
  blockSize: number;
  weights: WeightLayout | null;
  /** 0 for a full convolution. */
  multiplier: number;
  epilogue: Epilogue;
}

/** The block as bytes. */
export function callBlock(options: CallOptions): Uint32Array {
  const { geometry: g, input, weights, multiplier, epilogue: e } = options;
  const { residual, image, round } = e;
  const depthwise = multiplier > 0;
  const groups = depthwise ? 1 : g.groups;
  const depth = depthwise ? 1 : g.inChannels / groups;
  const block = input?.blockSize ?? Math.min(options.blockSize, depth);
  const residualImage = residual === null || residual === 'float' ? null : residual;
  const values: Record<Word, number> = {
    batch: g.batch,
    in_height: g.inHeight,
    in_width: g.inWidth,
    in_channels: g.inChannels,
    out_height: g.outHeight,
    out_width: g.outWidth,
    out_channels: g.outChannels,
    kernel_height: g.kernelHeight,
    kernel_width: g.kernelWidth,
    stride_height: g.strideHeight,
    stride_width: g.strideWidth,
    dilation_height: g.dilationHeight,
    dilation_width: g.dilationWidth,
    pad_top: g.padTop,
    pad_left: g.padLeft,
    groups,
    pixels: g.batch * g.outHeight * g.outWidth,
    depth,
    group_outputs: g.outChannels / groups,
    group_quads: Math.ceil(g.outChannels / groups / 4),
    block,
    blocks: input?.blocks ?? Math.ceil(depth / block),
    block_words: input?.blockWords ?? 0,
    group_words: input?.groupWords ?? 0,
    pixel_words: input?.pixelWords ?? 0,
    scales_at: input?.scalesAt ?? 0,
    block_weight_words: weights?.blockWords ?? 0,
    tap_weight_words: weights?.tapWords ?? 0,
    scale_per_block: weights?.scalePerBlock ? 1 : 0,
    scale_halves: weights?.scaleHalves ? 1 : 0,
    shift_at: weights?.shiftAt ?? 0,
    weight_bits: weights?.bits ?? 32,
    unit: weights ? 2 ** (weights.bits - 8) : 1,
    multiplier,
    inputs: (e.bias ? 1 : 0) | (residual === 'float' ? 2 : 0) | (residualImage ? 4 : 0),
    activation: ACTIVATION[e.activation],
    alpha: e.leakyreluAlpha,
    residual_block: residualImage?.blockSize ?? 4,
    residual_words: residualImage?.pixelWords ?? 0,
    residual_scales_at: residualImage?.scalesAt ?? 0,
    writes: (e.writesFloat ? 1 : 0) | (image ? 2 : 0),
    out_bits: round?.bits ?? 0,
    out_block: round ? Math.min(round.blockSize, g.outChannels) : 4,
    out_words: image?.pixelWords ?? 0,
    out_scales_at: image?.scalesAt ?? 0,
  };
  const words = new Uint32Array(CALL_WORDS.length);
  const floats = new Float32Array(words.buffer);
  CALL_WORDS.forEach((name, n) => {
    if (FLOATS.has(name)) floats[n] = values[name];
    else words[n] = values[name];
  });
  return words;
}

/** Whether the workgroup that makes a tile of `4 * workgroupX` channels can round it to this grid itself (tile_output.wgsl). */
export function roundsInTile(
  format: Required<BfpFormat>,
  geometry: ConvGeometry,
  workgroupX: number,
  depthwise: boolean,
): boolean {
  const { outChannels } = geometry;
  if (format.groups !== 1 || (!depthwise && geometry.groups !== 1)) return false;
  const width = 4 * workgroupX;
  const block = Math.min(format.blockSize, outChannels);
  if (block === outChannels && block <= width) return true;
  return block % 4 === 0 && width % block === 0;
}
