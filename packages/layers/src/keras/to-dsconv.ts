/** Trainable DSConv layers in the place of a model's convolutions. */
import { InvalidArgumentError, UnsupportedError } from '@dsconv/core';
import { reshape, type Tensor, tidy } from '@tensorflow/tfjs-core';
import { type LayersModel, type layers, models } from '@tensorflow/tfjs-layers';
import { DSConvolution } from './ds-convolution.js';
import { type ModelJson, replaceLayers } from './replace-layers.js';
import type { QuantizationArgs } from './settings.js';

/** Settings of one layer, or null to leave it as it is. */
export type LayerChoice = (QuantizationArgs & { perChannel?: boolean }) | null;

export interface ToDSConvOptions extends QuantizationArgs {
  /** Bits of the first convolution. Default 8. */
  firstBits?: number;
  /** Bits of depthwise convolutions. Default 8. */
  depthwiseBits?: number;
  /** Dense layers become convolutions of 1 × 1 too. Default false. */
  dense?: boolean;
  /** SeparableConv2D layers become two layers. Default false. */
  separable?: boolean;
  /** Exceptions by layer name; `*` stands for any characters. Of several that fit, the last one counts. */
  layers?: Readonly<Record<string, LayerChoice>>;
  /** Told of every layer that looks like a convolution: null where it was replaced, else why not. */
  onLayer?: (name: string, left: string | null) => void;
}

/**
 * A copy of a model whose convolutions round their filters and inputs, with the weights that the model has now. The original stays as it is.
 *
 * @param model Sequential or functional; models inside of it are gone into
 * @throws InvalidArgumentError when a pattern of `layers` fits no layer
 */
export async function toDSConv(model: LayersModel, options: ToDSConvOptions = {}): Promise<LayersModel> {
  const json = model.toJSON(null, false) as unknown as ModelJson;
  const used = new Set<string>();
  const originals = layersByName(model);
  const replaced = replaceLayers(json, options, used, (name) => originals.get(name)!.getWeights()[0]!.shape);
  const unused = Object.keys(options.layers ?? {}).find((pattern) => !used.has(pattern));
  if (unused !== undefined) {
    throw new InvalidArgumentError(
      `layers has the pattern '${unused}', which fits no convolution of the model; expected names such as ${[...replaced.names].slice(0, 3).join(', ') || 'those of its layers'}`,
    );
  }
  const made = await models.modelFromJSON(JSON.parse(JSON.stringify(replaced.json)));
  tidy(() => copyWeights(model, made as LayersModel));
  return made as LayersModel;
}

/** Layers of a model by name, those of models inside of it too. */
export function layersByName(model: LayersModel): Map<string, layers.Layer> {
  const found = new Map<string, layers.Layer>();
  for (const layer of model.layers) {
    if ('layers' in layer)
      for (const [name, inner] of layersByName(layer as unknown as LayersModel)) found.set(name, inner);
    else found.set(layer.name, layer);
  }
  return found;
}

function copyWeights(from: LayersModel, to: LayersModel): void {
  const targets = layersByName(to);
  for (const [name, layer] of layersByName(from)) {
    const weights = layer.getWeights();
    if (weights.length === 0) continue;
    const target = targets.get(name);
    if (!target) throw new UnsupportedError(`layer '${name}' has no counterpart in the quantized model`);
    if (layer.getClassName() === 'SeparableConv2D' && target instanceof DSConvolution) {
      const [depthwise, pointwise, bias = null] = weights as Tensor[];
      (targets.get(`${name}_depthwise`) as DSConvolution).adopt(depthwise!, null);
      target.adopt(pointwise!, bias);
    } else if (layer.getClassName() === 'Dense' && targets.has(`${name}_product`)) {
      const [kernel, bias = null] = weights as Tensor[];
      (targets.get(`${name}_product`) as DSConvolution).adopt(
        reshape(kernel!, [1, 1, ...kernel!.shape]),
        bias,
      );
    } else if (target instanceof DSConvolution && !(layer instanceof DSConvolution)) {
      const [kernel, bias = null] = weights as Tensor[];
      target.adopt(kernel!, bias);
    } else {
      target.setWeights(weights);
    }
  }
}
