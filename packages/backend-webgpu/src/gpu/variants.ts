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
  /** Pixels and channels that a workgroup computes. */
  pixels: number;
  channels: number;
  layout: 'call' | 'rows' | 'step';
}

/** The files of each tier's loop, the rows of its workgroups, and the pixels of one invocation. */
const LOOPS: Record<Exclude<GpuTier, 'naive'>, { sources: string[]; rows: number; pixels: number }> = {
  'tile-dot': { sources: [DOT_PACKED, DSCONV_TILE], rows: 16, pixels: 4 },
  tile: { sources: [DOT_PLAIN, DSCONV_TILE], rows: 16, pixels: 4 },
  wide: { sources: [DSCONV_WIDE], rows: 4, pixels: 8 },
};

const COMMON = [CALL, BFP, FILTER, OUTPUT, TILE_OUTPUT, PIXELS];

/** `DSConv2D` with integer activations. */
export function convolutionVariant(tier: GpuTier): Variant {
  if (tier === 'naive') {
    return {
      key: 'naive',
      code: join(CALL, BFP, FILTER, OUTPUT, DSCONV_NAIVE),
      constants: {},
      pixels: 1,
      channels: 64,
      layout: 'call',
    };
  }
  const { sources, rows, pixels } = LOOPS[tier];
  return {
    key: tier,
    code: join(...COMMON, ...sources),
    constants: { WORKGROUP_X: 16, WORKGROUP_Y: rows },
    pixels: pixels * rows,
    channels: 64,
    layout: 'call',
  };
}

export function depthwiseVariant(floatInput: boolean): Variant {
  return {
    key: floatInput ? 'depthwise float' : 'depthwise',
    code: join(...COMMON, DEPTHWISE),
    constants: { FLOAT_INPUT: floatInput ? 1 : 0, WORKGROUP_X: 16, WORKGROUP_Y: 4 },
    pixels: 16,
    channels: 64,
    layout: 'call',
  };
}

/** Convolution with float activations and a filter's integers, or float32 weights. */
export function floatVariant(floatWeights: boolean): Variant {
  return {
    key: floatWeights ? 'float weights' : 'float',
    code: join(...COMMON, CONV_FLOAT),
    constants: { FLOAT_WEIGHTS: floatWeights ? 1 : 0, WORKGROUP_X: 16, WORKGROUP_Y: 4 },
    pixels: 16,
    channels: 64,
    layout: 'call',
  };
}

/** Rounding of rows, to an image or in place. */
export function quantizeVariant(toImage: boolean): Variant {
  return {
    key: toImage ? 'quantize' : 'round',
    code: join(BFP, BFP_QUANTIZE),
    constants: { TO_IMAGE: toImage ? 1 : 0 },
    pixels: 64,
    channels: 1,
    layout: 'rows',
  };
}

function join(...sources: string[]): string {
  return sources.join('\n');
}
