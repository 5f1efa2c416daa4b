/** Which kernel serves a convolution. */
import type { CudaTier } from '../device/launch.js';
import { MOST_SCALE } from '../layout/pack-filter.js';
import type { ConvolutionCall } from './call.js';
import { chooseTile, convertsSums, sharedBytes, type TileChoice, type TileDevice } from './tiles.js';
import { chooseDepthwise, chooseDirect, depthwiseRoundsInput, type WindowChoice } from './windows.js';

/** What the choice depends on beside the call. */
export interface KernelTarget {
  tier: CudaTier;
  device: TileDevice;
}

/**
 * - mma: tensor cores
 * - window: rectangles of pixels, for few input channels and depthwise convolutions
 * - plain: one output per thread
 */
export type KernelChoice =
  | ({ kind: 'mma'; sharedBytes: number } & TileChoice)
  | ({ kind: 'window' } & WindowChoice)
  | { kind: 'plain'; kernel: string };

export function chooseKernel({ tier, device }: KernelTarget, call: ConvolutionCall): KernelChoice {
  const { filter, image, depthwise, multiplier, geometry } = call;
  if (filter.form === 'float' || image === null) return { kind: 'plain', kernel: 'dsconv2d_float' };
  const plain = { kind: 'plain', kernel: depthwise ? 'ds_depthwise_naive' : 'dsconv2d_naive' } as const;
  if (tier === 'naive' || filter.largestScale > MOST_SCALE) return plain;
  if (filter.form === 'rows') {
    const window = depthwise
      ? chooseDepthwise(geometry, multiplier, image, device)
      : chooseDirect(geometry, filter, image, device);
    return window === null ? plain : { kind: 'window', ...window };
  }
  if (!fitsCounters(call, filter.weightBytes)) return plain;
  const like = {
    bits: filter.bits,
    halfScales: filter.halfScales,
    shifted: filter.shifts !== 0,
    converts: convertsSums(image.blockSize, image.bits),
  };
  const choice = chooseTile(geometry, image.blockSize, like, device);
  return { kind: 'mma', ...choice, sharedBytes: sharedBytes(choice.tile, like) };
}

/** Offsets of the tensor core kernels have 32 bits, their masks of taps 16 for each direction. */
function fitsCounters({ image, geometry: g }: ConvolutionCall, weightBytes: number): boolean {
  const most = 2 ** 32;
  return image!.byteLength < most && weightBytes < most && g.kernelHeight <= 16 && g.kernelWidth <= 16;
}

/** Whether the kernel reads float32 and rounds it itself. */
export function roundsInput({ image, depthwise }: ConvolutionCall, choice: KernelChoice): boolean {
  if (image === null) return true;
  if (choice.kind !== 'window') return false;
  return !depthwise || depthwiseRoundsInput(image, choice.columns);
}

/** Channels of a tile whose threads finish it together, or 0 where each output is finished alone. */
export function finishingColumns(choice: KernelChoice): number {
  if (choice.kind === 'plain') return 0;
  if (choice.kind === 'window') return choice.columns;
  return choice.splits > 1 ? FINISH.channels : choice.tile.channels;
}

/** What a block of dsconv2d_finish adds up. */
export const FINISH = { kernel: 'dsconv2d_finish', pixels: 32, channels: 64, threads: 256 };
