/** Which kernel serves a convolution. */

import type { CudaTier } from '../device/launch.js';
import { MOST_SCALE } from '../layout/pack-filter.js';
import type { ConvolutionCall } from './call.js';
import type { TileDevice } from './tiles.js';
import { chooseTile, convertsSums, sharedBytes, type TileChoice } from './tiles.js';

/** What the choice depends on beside the call. */
export interface KernelTarget {
  tier: CudaTier;
  device: TileDevice;
}

/**
 * - mma: tensor cores
 * - plain: one output per thread, `kernel` says which
 */
export type KernelChoice =
  | ({ kind: 'mma'; sharedBytes: number } & TileChoice)
  | { kind: 'plain'; kernel: string };

export function chooseKernel({ tier, device }: KernelTarget, call: ConvolutionCall): KernelChoice {
  const { filter, image, depthwise, geometry } = call;
  if (filter.form === 'float' || image === null) return { kind: 'plain', kernel: 'dsconv2d_float' };
  if (depthwise) return { kind: 'plain', kernel: 'ds_depthwise_naive' };
  if (tier === 'naive' || filter.largestScale > MOST_SCALE || filter.form === 'rows') {
    return { kind: 'plain', kernel: 'dsconv2d_naive' };
  }
  const like = {
    bits: filter.bits,
    halfScales: filter.halfScales,
    shifted: filter.shifts !== 0,
    converts: convertsSums(image.blockSize, image.bits),
  };
  const choice = chooseTile(geometry, image.blockSize, like, device);
  return { kind: 'mma', ...choice, sharedBytes: sharedBytes(choice.tile, like) };
}

/** Channels of a tile whose threads finish it together, or 0 where each output is finished alone. */
export function finishingColumns(choice: KernelChoice): number {
  if (choice.kind === 'plain') return 0;
  return choice.splits > 1 ? FINISH.channels : choice.tile.channels;
}

/** What a block of dsconv2d_finish adds up. */
export const FINISH = { kernel: 'dsconv2d_finish', pixels: 32, channels: 64, threads: 256 };
