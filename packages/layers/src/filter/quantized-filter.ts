/** A filter that is trained: shadow weights, scales and what is done with them, the part that layers and networks share. */
import { DSConvFilter, InvalidArgumentError, storeExactly } from '@dsconv/core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { asStored, roundOnHost } from './host.js';
import type { Partition } from './partition.js';

/**
 * What becomes of the scales while the weights move.
 *
 * - `fitted`: one step of alternating least squares at every training step, the authors' later practice (NUMERICS §6).
 * - `learned`: variables of the optimizer, with the gradient of LSQ.
 * - `frozen`: as they are.
 */
export type ScaleTraining = 'fitted' | 'learned' | 'frozen';

export const SCALE_TRAININGS: readonly ScaleTraining[] = ['fitted', 'learned', 'frozen'];

/** @throws InvalidArgumentError naming the value */
export function checkBits(bits: number, name = 'bits'): void {
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new InvalidArgumentError(`${name} is ${bits}; expected an integer from 2 to 8`);
  }
}

/** Values of a trained filter, read from its tensors. */
export interface FilterValues {
  /** Shadow weights. */
  w: Float32Array;
  kds: Float32Array;
  kdsBias: Float32Array | null;
}

/** What multiplies and shifts a filter's output channels and is folded into it, such as a batch normalization; null for none. */
export interface ChannelShifters {
  scale: Float32Array | null;
  shift: Float32Array | null;
}

/**
 * The integer filter of trained values: the very integers and scales that the forward pass of training uses, so that nothing changes by freezing.
 *
 * @param channels goes into `cds` and `cdsBias`
 */
export function freezeFilter(
  values: FilterValues,
  bits: number,
  partition: Partition,
  channels: ChannelShifters = { scale: null, shift: null },
): DSConvFilter {
  const { kind, shape, blockSize, perChannel } = partition;
  const kds = asStored(values.kds, partition);
  const kdsBias = values.kdsBias && asStored(values.kdsBias, partition);
  const q = roundOnHost(values.w, { kds, kdsBias }, bits, partition);
  const { scale, shift } = channels;
  const cds = perChannel ? kds.map((value, o) => value * (scale ? scale[o]! : 1)) : scale;
  return DSConvFilter.fromIntegers(
    {
      kind,
      shape,
      bits,
      blockSize,
      ...(perChannel ? {} : { kds: storeExactly(kds) }),
      ...(kdsBias ? { kdsBias: storeExactly(kdsBias) } : {}),
      ...(cds ? { cds: storeExactly(cds) } : {}),
      ...(shift ? { cdsBias: storeExactly(shift) } : {}),
    },
    q,
  );
}

/** Reads a tensor's floats once they are there. */
export async function floatsOf(tensor: Tensor): Promise<Float32Array> {
  return (await tensor.data()) as Float32Array;
}
