import { DSConvFilter } from '@dsconv/core';
import { Network } from '@dsconv/models';

/** The float network that a quantized one stands for. */
export function dequantized(network: Network): Network {
  const { architecture, preprocessing, labels, activationBits, metadata } = network;
  const weights = new Map(
    [...network.weights].map(([name, { filter, bias }]) => {
      return [name, { filter: filter instanceof DSConvFilter ? filter.dequantize() : filter, bias }];
    }),
  );
  return new Network({ architecture, weights, preprocessing, labels, activationBits, metadata });
}
