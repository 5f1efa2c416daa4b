/** What a network is to be made for: a size, or a loss that is not to be exceeded. */
import { InvalidArgumentError } from '@dsconv/core';
import { type Network, networkFileLength, weightCount } from '@dsconv/models';

/** One of these. */
export type QuantizationTarget =
  /** Bits of kernel per weight, scales counted, at most. */
  | { bitsPerWeight: number }
  /** The float network's file is at least this many times as long. */
  | { ratio: number }
  /** Length of the file, at most. */
  | { bytes: number }
  /**
   * The smallest network that names another class than the float one for at most this part of the pictures, from 0 to 1. Needs pictures: half of
   * them are calibrated on, the other half is asked.
   */
  | { maxDrop: number };

/** Bytes that a file's header needs for each quantized layer more than for a float one. */
const HEADER_BYTES = 130;

/** @throws InvalidArgumentError when it is none of the forms or out of range */
export function checkTarget(target: QuantizationTarget): void {
  const entries = Object.entries(target).filter(([, value]) => value !== undefined);
  const [name, value] = entries[0] ?? [];
  const isKnown = name === 'bitsPerWeight' || name === 'ratio' || name === 'bytes' || name === 'maxDrop';
  if (entries.length !== 1 || !isKnown) {
    throw new InvalidArgumentError(
      `target is ${JSON.stringify(target)}; expected one of bitsPerWeight, ratio, bytes and maxDrop`,
    );
  }
  const isFine = name === 'maxDrop' ? value! >= 0 && value! < 1 : value! > 0 && Number.isFinite(value);
  if (isFine) return;
  const expected = name === 'maxDrop' ? 'a number from 0 to below 1' : 'a positive number';
  throw new InvalidArgumentError(`target.${name} is ${value}; expected ${expected}`);
}

/**
 * Bytes that all kernels may take for a target of size. What else is in a file is taken to be as long as in the float network's, and a little for
 * what its header says of filters.
 */
export function kernelBudget(
  network: Network,
  target: Exclude<QuantizationTarget, { maxDrop: number }>,
): number {
  if ('bitsPerWeight' in target) return Math.floor((target.bitsPerWeight * countWeights(network)) / 8);
  const length = networkFileLength(network);
  const overhead = length - network.kernelByteLength + HEADER_BYTES * network.architecture.layers.length;
  return Math.floor('bytes' in target ? target.bytes : length / target.ratio) - overhead;
}

/** Weights of all layers, as reports count them. */
export function countWeights({ architecture }: Network): number {
  return architecture.layers.reduce((sum, layer) => sum + weightCount(layer), 0);
}
