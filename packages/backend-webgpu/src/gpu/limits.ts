/** What a device cannot hold is declined before anything is recorded. */
import { type ConvGeometry, type DSConvAttributes, type Support, UnsupportedError } from '@dsconv/core';
import { imageLayout } from '../layout/image.js';
import { containerBits } from '../layout/pack-filter.js';
import type { GpuState } from './state.js';

/** The limits of a device that matter here. */
export type Limits = Pick<GPUSupportedLimits, 'maxBufferSize' | 'maxStorageBufferBindingSize'>;

/** Bytes that a buffer may have to be bound as a whole. */
export function mostBytes({ maxBufferSize, maxStorageBufferBindingSize }: Limits): number {
  return Math.min(maxBufferSize, maxStorageBufferBindingSize);
}

interface Case {
  geometry: ConvGeometry;
  bits: number;
  blockSize: number;
  depthwise: boolean;
  activationBits: number | null;
}

/** True, or which buffer of a case is too large for the limits. */
export function fitsLimits(limits: Limits, c: Case): Support {
  const { geometry: g, depthwise } = c;
  const most = mostBytes(limits);
  const inPixels = g.batch * g.inHeight * g.inWidth;
  const depth = depthwise ? 1 : g.inChannels / g.groups;
  const taps = g.kernelHeight * g.kernelWidth;
  const sizes: Record<string, number> = {
    input: 4 * inPixels * g.inChannels,
    output: 4 * g.batch * g.outHeight * g.outWidth * g.outChannels,
    filter: (taps * depth * g.outChannels * containerBits(c.bits)) / 8,
  };
  if (c.activationBits !== null) {
    const groups = depthwise ? 1 : g.groups;
    const format = { bits: c.activationBits, blockSize: c.blockSize, groups };
    sizes['quantized input'] = imageLayout(inPixels, g.inChannels, format).byteLength;
  }
  for (const [what, bytes] of Object.entries(sizes)) {
    if (bytes > most)
      return { reason: `its ${what} takes ${bytes} bytes; this device binds at most ${most}` };
  }
  return true;
}

/** @throws UnsupportedError with the reason of `fitsLimits` */
export function checkLimits(state: GpuState, { filter, geometry, activationBits }: DSConvAttributes): void {
  const { bits, blockSize, kind } = filter;
  const depthwise = kind === 'depthwise';
  const support = fitsLimits(state.device.limits, { geometry, bits, blockSize, depthwise, activationBits });
  if (support !== true)
    throw new UnsupportedError(`backend 'webgpu' declines a convolution: ${support.reason}`);
}
