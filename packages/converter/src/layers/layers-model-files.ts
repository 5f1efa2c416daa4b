import type { LayersModel } from '@tensorflow/tfjs-layers';
import { type ModelFiles, modelFiles } from '../graph/model-artifacts.js';
import { modelParts } from './model-parts.js';

/**
 * The files of a LayersModel in memory, such as a frozen one, for `writeModelFiles`: model.json and its shards, as `convertModel` makes them.
 *
 * @throws InvalidArgumentError when the model has no weights yet
 */
export async function layersModelFiles(model: LayersModel): Promise<ModelFiles> {
  const { modelTopology, weights } = await modelParts(model);
  const head = { format: 'layers-model', modelTopology, convertedBy: '@dsconv/converter' };
  return modelFiles(head, weights.values());
}
