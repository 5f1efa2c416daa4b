/** The shader variants: which WGSL files make one, and which constants it is specialized with. */
import {
  BFP,
  BFP_QUANTIZE,
  CALL,
  CONV_FLOAT,
  DEPTHWISE,
  DEPTHWISE_ROW,
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
   * With `inRows` four pixels side by side lie in one row of the output, whose last four may reach beyond it. Null: 64 outputs, one after the other.
   */
  tile: { pixels: number; quads: number; inGroup: boolean; inRows: boolean } | null;
  /** Made for one kind of calls; there is one for all kinds behind it. */
  special?: boolean;
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
  {
    sources,
    rows = 4,
    pixels = 4,
    inGroup = false,
    inRows = false,
  }: Partial<(typeof LOOPS)['wide']> & { sources: string[]; inRows?: boolean },
  constants: Constants = {},
): ConvolutionVariant {
  return {
    key,
    code: join(CALL, BFP, FILTER, OUTPUT, TILE_OUTPUT, PIXELS, ...sources),
    constants: { ...constants, WORKGROUP_X: TILE_QUADS, WORKGROUP_Y: rows },
    layout: 'call',
    tile: { pixels: pixels * rows, quads: TILE_QUADS, inGroup, inRows },
  };
}

/** `DSConv2D` with integer activations. */
export function convolutionVariant(tier: GpuTier, shifts: boolean): ConvolutionVariant {
  // Where it matters a third of the time there is a shader without the sums that shift biases need.
  if (tier === 'wide') return tiled(shifts ? 'wide, shifts' : 'wide', LOOPS.wide, { SHIFTS: shifts ? 1 : 0 });
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

/** Windows three pixels wide, that many columns from one output to the next. */
export function depthwiseRowVariant(floatInput: boolean, stride: 1 | 2): ConvolutionVariant {
  const key = `depthwise row, stride ${stride}${floatInput ? ' float' : ''}`;
  const constants = { FLOAT_INPUT: floatInput ? 1 : 0, STRIDE: stride };
  return tiled(key, { sources: [DEPTHWISE_ROW], inRows: true }, constants);
}

/** What a shader can be made for (call.wgsl); what is left out it asks the call. */
export interface Special {
  PLAIN: 0 | 1;
  WRITES?: number;
  ROUNDS?: number;
  WEIGHT_BITS?: number;
}

/** The variant for one kind of call and a convolution of so many quads of channels, whose workgroups are no wider than that. */
export function specialize(
  variant: ConvolutionVariant,
  special: Special,
  groupQuads: number,
): ConvolutionVariant {
  const { tile } = variant;
  const constants: Record<string, number> = { ...variant.constants, ...special };
  const made = Object.entries(special).map(([name, value]) => `${name.toLowerCase()} ${value}`);
  let key = `${variant.key}, ${made.join(', ')}`;
  if (!tile || tile.inGroup || groupQuads > TILE_QUADS / 2)
    return { ...variant, key, constants, special: true };
  // The fewer channels, the more pixels: a workgroup has as many invocations.
  const quads = groupQuads > TILE_QUADS / 4 ? TILE_QUADS / 2 : TILE_QUADS / 4;
  const times = TILE_QUADS / quads;
  constants.WORKGROUP_X = quads;
  constants.WORKGROUP_Y = times * constants.WORKGROUP_Y!;
  key += `, ${quads} quads`;
  return { ...variant, key, constants, special: true, tile: { ...tile, quads, pixels: times * tile.pixels } };
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
