/** A network for other classes: everything kept but the classifier. */
import { InvalidArgumentError } from '@dsconv/core';
import {
  createArchitecture,
  type LayerWeights,
  Network,
  outChannels,
  randomParameters,
} from '@dsconv/models';

/**
 * The float network with a new classifier of random weights (He et al., arXiv 1502.01852, and no biases), for a task of its own.
 *
 * @param labels names of the new classes, or none
 * @throws InvalidArgumentError when the network is quantized, or there are fewer than two classes
 */
export function replaceHead(
  network: Network,
  classes: number,
  options: { labels?: readonly string[]; seed?: number } = {},
): Network {
  if (!Number.isInteger(classes) || classes < 2) {
    throw new InvalidArgumentError(`classes is ${classes}; expected an integer of at least 2`);
  }
  if (network.isQuantized) {
    throw new InvalidArgumentError(
      'the network is quantized; expected the float one, whose head can be replaced',
    );
  }
  const { name, inputSize, channels } = network.architecture;
  const architecture = createArchitecture({ name, inputSize, channels, classes });
  const head = architecture.layers.at(-1)!;
  const fresh = randomParameters(architecture, options.seed ?? 1).get(head.name)!;
  const weights = new Map<string, LayerWeights>(network.weights);
  weights.set(head.name, { filter: fresh.filter, bias: new Float32Array(outChannels(head)) });
  const { preprocessing, activationBits, metadata } = network;
  return new Network({
    architecture,
    weights,
    preprocessing,
    activationBits,
    metadata,
    ...(options.labels ? { labels: options.labels } : {}),
  });
}
