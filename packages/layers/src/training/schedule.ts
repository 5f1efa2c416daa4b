/** Training that changes on the way: fewer bits, frozen scales, frozen batch normalizations. */
import { InvalidArgumentError } from '@dsconv/core';
import { checkBits } from '../filter/quantized-filter.js';
import type { TrainableNetwork } from '../network/trainable-network.js';

/** Called before every epoch, which count from 1. */
export type Schedule = (network: TrainableNetwork, epoch: number) => void;

export interface ScheduleOptions {
  /**
   * Weight bits of the first epoch, the second and so on; the last ones stay. Layers of 8 bits keep theirs, as first convolutions and depthwise
   * ones have. Going down in steps loses less than beginning at the lowest.
   */
  bits?: readonly number[];
  /** Scales are frozen from this epoch on. */
  freezeScalesFrom?: number;
  /** Restored batch normalizations use their running statistics from this epoch on. */
  freezeBatchNormFrom?: number;
}

/** @throws InvalidArgumentError when bits or an epoch is out of range */
export function gradually({ bits = [], freezeScalesFrom, freezeBatchNormFrom }: ScheduleOptions): Schedule {
  for (const [n, value] of bits.entries()) checkBits(value, `bits[${n}]`);
  for (const [name, epoch] of Object.entries({ freezeScalesFrom, freezeBatchNormFrom })) {
    if (epoch !== undefined && (!Number.isInteger(epoch) || epoch < 1)) {
      throw new InvalidArgumentError(`${name} is ${epoch}; expected a positive integer`);
    }
  }
  const lowered = new Set<string>();
  return (network, epoch) => {
    const wanted = bits[Math.min(epoch, bits.length) - 1];
    if (wanted !== undefined) {
      // Once a layer is lowered it follows, whatever its bits are by then.
      for (const [name, layer] of network.byName)
        if (layer.bits !== null && layer.bits < 8) lowered.add(name);
      network.setBits(wanted, (name, old) => lowered.has(name) && old !== wanted);
    }
    if (freezeScalesFrom !== undefined && epoch >= freezeScalesFrom) network.freezeScales();
    if (freezeBatchNormFrom !== undefined && epoch >= freezeBatchNormFrom) network.freezeBatchNorm();
  };
}
