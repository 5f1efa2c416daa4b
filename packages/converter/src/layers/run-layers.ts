/** Runs LayersModels that are in memory, for recording and comparing. */
import { type Tensor, tidy } from '@tensorflow/tfjs-core';
import { type LayersModel, type layers, loadLayersModel, model } from '@tensorflow/tfjs-layers';
import type { ModelInput } from '../graph/example-inputs.js';
import type { ModelFiles } from '../graph/model-artifacts.js';
import { joinWeights, manifestEntry } from '../graph/stored-weights.js';
import { FrozenLayer } from './runtime/frozen-layer.js';
import type { AssembledLayers } from './write-layers.js';

/** Loads a model as TensorFlow.js would from disk. The layers of converted models must be registered. */
export async function loadLayers({ modelTopology, weights }: AssembledLayers): Promise<LayersModel> {
  const artifacts = {
    modelTopology,
    weightSpecs: weights.map(manifestEntry),
    weightData: joinWeights(weights).buffer,
  };
  return loadLayersModel({ load: async () => artifacts as never });
}

/** Loads a model from the files it is about to be written to. */
export async function loadLayersFiles(files: ModelFiles): Promise<LayersModel> {
  const { weightsManifest, ...head } = JSON.parse(new TextDecoder().decode(files.get('model.json')));
  const [{ paths, weights }] = weightsManifest as [{ paths: string[]; weights: object[] }];
  const artifacts = {
    ...head,
    weightSpecs: weights,
    weightData: paths.map((path) => new Uint8Array(files.get(path)!).buffer),
  };
  return loadLayersModel({ load: async () => artifacts as never });
}

/** Inputs of a model. A Sequential that was not run yet does not know its `inputNames`. */
export function layersInputs({ inputs }: LayersModel): ModelInput[] {
  return inputs.map(({ sourceLayer, shape, dtype }) => ({ name: sourceLayer.name, shape, dtype }));
}

/** Names of a model's outputs: those of the layers that they come from. */
export function layersOutputs({ outputs }: LayersModel): string[] {
  return outputs.map(({ sourceLayer }) => sourceLayer.name);
}

/**
 * Outputs of a model, then those of layers of its own.
 *
 * @param inputs in the order of the model's
 */
export function runLayers(from: LayersModel, inputs: readonly Tensor[], names: readonly string[]): Tensor[] {
  const wanted = [...from.outputs, ...names.map((name) => from.getLayer(name).getOutputAt(0))].flat();
  const outputs = [...new Set(wanted)];
  const all = model({ inputs: from.inputs, outputs });
  // `predict` divides a batch and joins the parts again, which a network of one fixed batch does not survive.
  const list = tidy(() => {
    const result = all.apply(inputs.length === 1 ? inputs[0]! : [...inputs]) as Tensor | Tensor[];
    return Array.isArray(result) ? result : [result];
  });
  return wanted.map((output) => list[outputs.indexOf(output)]!);
}

/** Disposes a model whole: TensorFlow.js counts every call of a layer, but takes off only one when the model goes. */
export function disposeLayers(model: LayersModel): void {
  const shared = layersWithin(model).filter(({ inboundNodes }) => inboundNodes.length > 1);
  model.dispose();
  for (const layer of shared) {
    try {
      while (layer.dispose().refCountAfterDispose > 0);
    } catch {
      // It was disposed with the model already, which is an error to TensorFlow.js.
    }
  }
}

/** The frozen layers of a model and of the models in it. */
export function frozenLayers(model: LayersModel): FrozenLayer[] {
  return layersWithin(model).filter((layer) => layer instanceof FrozenLayer);
}

/** Layers of a model and of the models in it. */
export function layersWithin(container: { layers: layers.Layer[] }): layers.Layer[] {
  return container.layers.flatMap((layer) =>
    'layers' in layer ? layersWithin(layer as unknown as { layers: layers.Layer[] }) : [layer],
  );
}
