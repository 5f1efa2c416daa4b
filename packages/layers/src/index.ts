export { fakeQuantize, fitScales, refitScales } from './filter/fake-quantize.js';
export { type Partition, partitionOf, scaleShape } from './filter/partition.js';
export type { ScaleTraining } from './filter/quantized-filter.js';
export { DSConv2D, type DSConv2DArgs, dsConv2d } from './keras/ds-conv2d.js';
export type { LayerPadding, QuantizationArgs, ShifterArgs } from './keras/ds-convolution.js';
export {
  DSDepthwiseConv2D,
  type DSDepthwiseConv2DArgs,
  dsDepthwiseConv2d,
} from './keras/ds-depthwise-conv2d.js';
export { TrainableLayer } from './network/trainable-layer.js';
export { type PassOptions, TrainableNetwork, type TrainableOptions } from './network/trainable-network.js';
