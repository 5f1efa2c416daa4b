/** The numbers of a network against the table of its architecture. */
import { DSConvFilter, InvalidArgumentError, InvalidFilterError } from '@dsconv/core';
import { type Architecture, type LayerSpec, outChannels, weightCount } from './architecture.js';
import type { LayerWeights } from './network.js';

/**
 * @throws InvalidArgumentError when a layer is missing, unknown or has another number of values than the architecture says
 * @throws InvalidFilterError when a quantized filter has another shape or kind
 */
export function checkWeights(architecture: Architecture, weights: ReadonlyMap<string, LayerWeights>): void {
  const names = new Set(architecture.layers.map(({ name }) => name));
  for (const name of weights.keys()) {
    if (!names.has(name)) {
      throw new InvalidArgumentError(
        `weights have a layer '${name}'; expected only layers of ${architecture.name}`,
      );
    }
  }
  for (const layer of architecture.layers) {
    const found = weights.get(layer.name);
    if (!found) {
      throw new InvalidArgumentError(
        `weights have no layer '${layer.name}'; expected every layer of ${architecture.name}`,
      );
    }
    checkLayer(layer, found);
  }
}

function checkLayer(layer: LayerSpec, { filter, bias }: LayerWeights): void {
  if (layer.kind === 'norm' && (filter instanceof DSConvFilter || !bias)) {
    throw new InvalidFilterError(
      `normalization '${layer.name}' is ${bias ? 'quantized' : 'without shifts'}; expected float scales and shifts`,
    );
  }
  if (filter instanceof DSConvFilter) {
    const kind = layer.kind === 'depthwise' ? 'depthwise' : 'conv2d';
    if (filter.kind !== kind || filter.shape.join() !== layer.shape.join()) {
      throw new InvalidFilterError(
        `layer '${layer.name}' has a ${filter.kind} filter of shape [${filter.shape}]; expected ${kind} [${layer.shape}]`,
      );
    }
  } else if (filter.length !== weightCount(layer)) {
    throw new InvalidArgumentError(
      `layer '${layer.name}' has ${filter.length} weights; expected ${weightCount(layer)} for the shape [${layer.shape}]`,
    );
  }
  if (bias && bias.length !== outChannels(layer)) {
    throw new InvalidArgumentError(
      `layer '${layer.name}' has ${bias.length} biases; expected ${outChannels(layer)}`,
    );
  }
}
