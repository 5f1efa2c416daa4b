/** What a program needs to run a converted LayersModel: one call before `tf.loadLayersModel`. No Node, no converter. */
export { FrozenDSConv2D, FrozenDSDense, FrozenDSDepthwiseConv2D, FrozenLayer } from './frozen-layer.js';
export { fromOneFile, toOneFile } from './one-file.js';
export { registerDSConvLayers } from './register-layers.js';
