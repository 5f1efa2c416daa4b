/** Names a converted graph is written and read with. */

/** The operators of a converted graph. */
export const CONVOLUTION_OPS = { conv2d: 'DSConv2D', depthwise: 'DSDepthwiseConv2D' } as const;

/** Attributes of both operators, beside the inputs x, filter, bias (`has_bias`) and slopes (`has_slopes`). */
export const ATTRIBUTES = {
  /** `[kh, kw, I, O]`, or `[kh, kw, C, multiplier]`. */
  filterShape: 'filter_shape',
  /** Weight bits; 0 where the filter is a float tensor. */
  bits: 'bits',
  blockSize: 'block_size',
  /** Mantissa bits of activations; 0 for float ones. */
  activationBits: 'activation_bits',
  strides: 'strides',
  dilations: 'dilations',
  /** 'SAME', 'VALID' or 'EXPLICIT'. */
  padding: 'padding',
  /** `[top, bottom, left, right]` where the padding is 'EXPLICIT'. */
  explicitPaddings: 'explicit_paddings',
  groups: 'groups',
  activation: 'activation',
  leakyreluAlpha: 'leakyrelu_alpha',
  hasBias: 'has_bias',
  hasSlopes: 'has_slopes',
} as const;
