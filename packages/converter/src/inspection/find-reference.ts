/** The float weights that a quantized network stands for. */
import { DSConvFilter, InvalidArgumentError } from '@dsconv/core';
import type { LayerSpec, Network } from '@dsconv/models';
import type { LayerPlan } from '../quantize-network.js';
import { rangePairs, scaleRanges } from '../scale-ranges.js';

/** The forms of a quantized network's layers; null for a layer that is float. */
export function plansOf(network: Network): { layer: LayerSpec; plan: LayerPlan }[] {
  return network.architecture.layers.map((layer) => {
    const { filter } = network.weights.get(layer.name)!;
    const isFilter = filter instanceof DSConvFilter;
    const { bits, blockSize } = isFilter ? filter : { bits: 8, blockSize: 64 };
    return { layer, plan: { bits, blockSize, perChannel: !isFilter || !filter.stored('kds') } };
  });
}

/**
 * The float network, or the same with its channels scaled as `quantizeNetwork` does for depthwise convolutions, whichever the quantized one comes
 * nearer to.
 *
 * @throws InvalidArgumentError when the networks do not belong together, or are not float and quantized
 */
export function findReference(quantized: Network, float: Network): Network {
  checkPair(quantized, float);
  const scaled = scaleRanges(float, rangePairs(float, plansOf(quantized)));
  return scaled !== float && error(quantized, scaled) < error(quantized, float) ? scaled : float;
}

function checkPair(quantized: Network, float: Network): void {
  const { name, inputSize, channels } = quantized.architecture;
  if (!quantized.isQuantized) {
    throw new InvalidArgumentError(`network '${name}' is a float network; expected a quantized one`);
  }
  if (float.isQuantized) {
    throw new InvalidArgumentError(
      `the reference '${float.architecture.name}' is quantized; expected a float network`,
    );
  }
  if (float.architecture.name !== name) {
    throw new InvalidArgumentError(`the reference is a ${float.architecture.name}; expected a ${name}`);
  }
  const { inputSize: size, channels: depth } = float.architecture;
  if (size !== inputSize || depth !== channels) {
    throw new InvalidArgumentError(
      `the reference reads pictures of ${size}×${size}×${depth}; expected ${inputSize}×${inputSize}×${channels}`,
    );
  }
  for (const layer of quantized.architecture.layers) {
    const [found, exact] = [quantized, float].map((network) => weightsOf(network, layer.name).length);
    if (found === exact) continue;
    throw new InvalidArgumentError(
      `layer '${layer.name}' of the reference has ${exact} weights; expected ${found}`,
    );
  }
}

/** Float weights of a layer, or those its filter stands for. */
export function weightsOf(network: Network, layer: string): Float32Array {
  const { filter } = network.weights.get(layer)!;
  return filter instanceof DSConvFilter ? filter.dequantize() : filter;
}

/** Sum over layers of the part of the weights that is lost. */
function error(quantized: Network, float: Network): number {
  let sum = 0;
  for (const { name } of quantized.architecture.layers) {
    const [found, exact] = [weightsOf(quantized, name), weightsOf(float, name)];
    let [noise, signal] = [0, 0];
    for (let n = 0; n < exact.length; n++) {
      noise += (exact[n]! - found[n]!) ** 2;
      signal += exact[n]! ** 2;
    }
    if (signal > 0) sum += noise / signal;
  }
  return sum;
}
