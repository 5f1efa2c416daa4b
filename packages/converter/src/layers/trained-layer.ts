/** Layers that learn a quantized filter. They are told by what they can do, not by their class, so that nothing here depends on the package they come from. */
import type { DSConvFilter } from '@dsconv/core';
import type { LayersModel, layers } from '@tensorflow/tfjs-layers';
import type { Convolution } from '../graph/convolution.js';
import { layersWithin } from './run-layers.js';

/** What such a layer computes in inference: `activation(bias + filter * x̂)`. */
export interface TrainedConvolution extends Pick<Convolution, 'bias' | 'strides' | 'dilations' | 'groups'> {
  /** The integers and scales that the layer's forward pass computes with. */
  filter: DSConvFilter;
  pad: 'same' | 'valid' | number;
  /** Mantissa bits of the input, or null for a float one. */
  activationBits: number | null;
  /** Keras' name. */
  activation: string;
}

export interface TrainedLayer extends layers.Layer {
  /** What the layer has learned, or a clause that says why it has to stay as it is. */
  trainedConvolution(): Promise<TrainedConvolution | string>;
}

/** What the trained layers of a model have learned, by name; models inside of it are gone into. */
export async function trainedConvolutions(
  model: LayersModel,
): Promise<Map<string, TrainedConvolution | string>> {
  const found = new Map<string, TrainedConvolution | string>();
  for (const layer of layersWithin(model)) {
    if (isTrained(layer)) found.set(layer.name, await layer.trainedConvolution());
  }
  return found;
}

function isTrained(layer: layers.Layer): layer is TrainedLayer {
  return 'trainedConvolution' in layer && typeof layer.trainedConvolution === 'function';
}
