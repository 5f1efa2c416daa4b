/** The shader variants: which WGSL files make one, and which constants it is specialized with. */
import {
  BFP,
  BFP_QUANTIZE,
  CALL,
  CONV_FLOAT,
  DEPTHWISE,
  DOT_PACKED,
  DOT_PLAIN,
  DSCONV_NAIVE,
  DSCONV_TILE,
  DSCONV_WIDE,
  FILTER,
  OUTPUT,
  PIXELS,
  TILE_OUTPUT,
} from '../shaders/sources.js';

/**
 * How integer products are computed: in tiles of workgroup memory, with the language's dot product of packed bytes or with shifts and products; in registers, with bytes
 * that were widened before (`wide`); or one output at a time (`naive`, to compare with).
 */
export const TIERS = ['tile-dot', 'tile', 'wide', 'naive'] as const;
export type GpuTier = (typeof TIERS)[number];

/** The language feature that has `dot4I8Packed`. */
export const DOT_FEATURE = 'packed_4x8_integer_dot_product';

export type Constants = Readonly<Record<string, number>>;

export interface Variant {
  /** Unique; for caches and messages. */
  key: string;
  code: string;
  constants: Constants;
  layout: 'call' | 'rows' | 'step';
}

/** A variant that computes a convolution. */
export interface ConvolutionVariant extends Variant {
  layout: 'call';
  /**
   * What a workgroup computes: so many pixels by so many quads of output channels, which lie in one group of the convolution or may lie in several.
   * Null: 64 outputs, one after the other.
   */
  tile: { pixels: number; quads: number; inGroup: boolean } | null;
}

/** The files of each tier's loop, the rows of its workgroups, the pixels of one invocation, and whether its tiles lie in one group. */
const LOOPS: Record<
  Exclude<GpuTier, 'naive'>,
  { sources: string[]; rows: number; pixels: number; inGroup: boolean }
> = {
  'tile-dot': { sources: [DOT_PACKED, DSCONV_TILE], rows: 16, pixels: 4, inGroup: true },
  tile: { sources: [DOT_PLAIN, DSCONV_TILE], rows: 16, pixels: 4, inGroup: true },
  wide: { sources: [DSCONV_WIDE], rows: 4, pixels: 8, inGroup: false },
};

/** Invocations of a workgroup side by side, each with a quad of channels. */
export const TILE_QUADS = 16;

/** A variant that ends with tile_output.wgsl. */
function tiled(
  key: string,
  { sources, rows = 4, pixels = 4, inGroup = false }: Partial<(typeof LOOPS)['wide']> & { sources: string[] },
  constants: Constants = {},
): ConvolutionVariant {
  return {
    key,
    code: join(CALL, BFP, FILTER, OUTPUT, TILE_OUTPUT, PIXELS, ...sources),
    constants: { ...constants, WORKGROUP_X: TILE_QUADS, WORKGROUP_Y: rows },
    layout: 'call',
    tile: { pixels: pixels * rows, quads: TILE_QUADS, inGroup },
  };
}

/** `DSConv2D` with integer activations. */
export function convolutionVariant(tier: GpuTier): ConvolutionVariant {
  if (tier !== 'naive') return tiled(tier, LOOPS[tier]);
  return {
    key: 'naive',
    code: join(CALL, BFP, FILTER, OUTPUT, DSCONV_NAIVE),
    constants: {},
    layout: 'call',
    tile: null,
  };
}

export function depthwiseVariant(floatInput: boolean): ConvolutionVariant {
  const key = floatInput ? 'depthwise float' : 'depthwise';
  return tiled(key, { sources: [DEPTHWISE] }, { FLOAT_INPUT: floatInput ? 1 : 0 });
}

/** Convolution with float activations and a filter's integers, or float32 weights. */
export function floatVariant(floatWeights: boolean): ConvolutionVariant {
  const key = floatWeights ? 'float weights' : 'float';
  return tiled(key, { sources: [CONV_FLOAT] }, { FLOAT_WEIGHTS: floatWeights ? 1 : 0 });
}

/** Rounding of rows, to an image or in place. */
export function quantizeVariant(toImage: boolean): Variant {
  return {
    key: toImage ? 'quantize' : 'round',
    code: join(BFP, BFP_QUANTIZE),
    constants: { TO_IMAGE: toImage ? 1 : 0 },
    layout: 'rows',
  };
}

export function join(...sources: string[]): string {
  return sources.join('\n');
}
