import { serialization } from '@tensorflow/tfjs-core';
import { FrozenDSConv2D, FrozenDSDense, FrozenDSDepthwiseConv2D } from './frozen-layer.js';

/**
 * Makes the layers of converted models known to `tf.loadLayersModel`. Call it once before loading one; more often does no harm. The model then
 * runs on every backend that a DSConv package registered.
 */
export function registerDSConvLayers(): void {
  for (const frozen of [FrozenDSConv2D, FrozenDSDepthwiseConv2D, FrozenDSDense]) {
    serialization.registerClass(frozen);
  }
}
