/** Class names of the layers of a converted LayersModel. Layers that learn have others. */
export const FROZEN_CLASSES = {
  conv2d: 'FrozenDSConv2D',
  depthwise: 'FrozenDSDepthwiseConv2D',
  dense: 'FrozenDSDense',
} as const;

/** Class names of the layers of `@dsconv/layers`, which learn: to tell programs that have not imported it. */
export const TRAINED_CLASSES: readonly string[] = ['DSConv2D', 'DSDepthwiseConv2D', 'DSConvBlock'];
