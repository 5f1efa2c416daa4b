/** A LayersModel in memory as the parts of one on disk. */
import { InvalidArgumentError } from '@dsconv/core';
import { io } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import type { StoredWeight } from '../graph/stored-weights.js';
import type { JsonRecord } from '../json-values.js';

export interface ModelParts {
  modelTopology: JsonRecord;
  /** By name. */
  weights: Map<string, StoredWeight>;
}

/**
 * Reads everything that `model.save` would save, but for an optimizer.
 *
 * @throws InvalidArgumentError when the model has no weights yet
 */
export async function modelParts(model: LayersModel): Promise<ModelParts> {
  // TensorFlow.js' types do not say that a Sequential without layers may have no list of inputs.
  if (((model.inputs as unknown[] | undefined)?.length ?? 0) === 0) {
    throw new InvalidArgumentError(
      `the model '${model.name}' has no input yet; expected one whose first layer has an inputShape, or that was built`,
    );
  }
  const modelTopology = model.toJSON(null, false) as unknown as JsonRecord;
  const weights = new Map<string, StoredWeight>();
  for (const variable of model.weights) {
    const { originalName: name, shape } = variable;
    const tensor = variable.read();
    const { data } = await io.encodeWeights([{ name, tensor }]);
    const bytes = new Uint8Array(data);
    weights.set(name, {
      name,
      shape: shape as number[],
      dtype: tensor.dtype as StoredWeight['dtype'],
      bytes,
    });
  }
  return { modelTopology: JSON.parse(JSON.stringify(modelTopology)) as JsonRecord, weights };
}
