/** Class names of the layers of a converted LayersModel. Layers that learn have others. */
export const FROZEN_CLASSES = {
  conv2d: 'FrozenDSConv2D',
  depthwise: 'FrozenDSDepthwiseConv2D',
  dense: 'FrozenDSDense',
} as const;
