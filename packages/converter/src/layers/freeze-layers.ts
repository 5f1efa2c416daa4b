/** A LayersModel with layers that learn in, the integer network of what they learned out. */
import { UnsupportedError } from '@dsconv/core';
import { serialization } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import type { StoredWeight } from '../graph/stored-weights.js';
import type { JsonRecord } from '../json-values.js';
import { type FoldedLayers, foldLayers } from './fold-layers.js';
import { LayerWeights } from './layer-weights.js';
import { modelParts } from './model-parts.js';
import type { FoundLayers } from './read-layer.js';
import { readTrained } from './read-trained.js';
import { layersWithin, loadLayers } from './run-layers.js';
import { registerDSConvLayers } from './runtime/register-layers.js';
import { readTopology } from './topology.js';
import { trainedConvolutions } from './trained-layer.js';
import { type AssembledLayers, assembleLayers } from './write-layers.js';

export interface FreezeOptions {
  /** Told of every layer that learns a quantized filter: null where it was frozen, else why it stays as it is. */
  onLayer?: (name: string, left: string | null) => void;
}

/**
 * The integer network of a model: every layer that learns a quantized filter becomes a frozen one with the integers and scales that it computes with
 * now. Batch normalizations behind it go into its scales per channel and its bias, activations into the layer. Other layers stay as they are, with copies of
 * their weights.
 *
 * @param model Sequential or functional; models inside of it are gone into. It stays as it is, and the caller's
 * @returns a model of its own, to be disposed by the caller; TensorFlow.js runs and saves it
 * @throws InvalidArgumentError when the model has no weights yet
 * @throws NotFiniteError naming the layer whose numbers are not finite
 * @throws UnsupportedError naming a layer whose class TensorFlow.js does not know
 */
export async function freezeLayersModel(
  model: LayersModel,
  { onLayer }: FreezeOptions = {},
): Promise<LayersModel> {
  const { modelTopology, weights } = await modelParts(model);
  for (const layer of layersWithin(model)) {
    const className = layer.getClassName();
    if (isKnown(className)) continue;
    throw new UnsupportedError(
      `layer '${layer.name}' is a ${className}, which TensorFlow.js does not know; expected tf.serialization.registerClass to be called with it, so that the frozen model can hold one too`,
    );
  }
  const { assembled } = await freezeTopology(
    model,
    modelTopology,
    weights,
    `the model '${model.name}'`,
    onLayer,
  );
  registerDSConvLayers();
  return loadLayers(assembled);
}

export interface FrozenTopology extends Pick<FoldedLayers, 'convolutions' | 'left'> {
  assembled: AssembledLayers;
}

/**
 * @param model whose layers are asked for what they learned
 * @param topology of the same model
 * @param file names it in errors
 */
export async function freezeTopology(
  model: LayersModel,
  topology: JsonRecord,
  weights: ReadonlyMap<string, StoredWeight>,
  file: string,
  onLayer?: FreezeOptions['onLayer'],
): Promise<FrozenTopology> {
  const trained = new Map<string, FoundLayers | string>();
  for (const [name, found] of await trainedConvolutions(model)) {
    const read = typeof found === 'string' ? found : readTrained(name, found);
    trained.set(name, read);
    onLayer?.(name, typeof read === 'string' ? read : null);
  }
  const source = new LayerWeights(weights, file);
  const folded = foldLayers(readTopology(topology, file), source, file, { isKnown, trained });
  const assembled = assembleLayers(topology, folded, source, (_, { trained: learned, bias }) => {
    return { ...learned!, bias };
  });
  return { assembled, convolutions: folded.convolutions, left: folded.left };
}

/** Classes that TensorFlow.js can load, those that the program registered included. */
export function isKnown(className: string): boolean {
  return Object.hasOwn(serialization.SerializationMap.getMap().classNameMap, className);
}
