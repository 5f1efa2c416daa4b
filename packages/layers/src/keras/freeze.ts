import { type FreezeOptions, freezeLayersModel } from '@dsconv/converter/freeze';
import type { LayersModel } from '@tensorflow/tfjs-layers';

export type { FreezeOptions };

/**
 * The integer network of a trained model: every layer of this package becomes a frozen one with the integers and scales that it computes with now, so
 * that both give the same answers. Batch normalizations, the blocks' own and layers of the model directly behind, are folded into scales per channel and
 * biases, never by rounding again; what the operator knows of activations goes into the layer. Other layers stay as they are, with copies of their weights.
 *
 * The result is a LayersModel, to be run, compiled to a plan and saved like any other, and loaded after `registerDSConvLayers()` of
 * `@dsconv/converter/runtime-layers`. It runs on backends with DSConv kernels.
 *
 * @param model Sequential or functional; models inside of it are gone into. It stays as it is and can go on learning
 * @returns a model that owns its weights; `dispose()` frees them
 * @throws InvalidArgumentError when the model has no weights yet
 * @throws NotFiniteError naming the layer and the weight that is NaN or infinite
 * @throws UnsupportedError naming a layer whose class TensorFlow.js does not know
 */
export async function freeze(model: LayersModel, options: FreezeOptions = {}): Promise<LayersModel> {
  return freezeLayersModel(model, options);
}
