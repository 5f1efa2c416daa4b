/** What a device cannot hold is declined before anything is recorded. */
import { type ConvGeometry, type DSConvAttributes, type Support, UnsupportedError } from '@dsconv/core';
import { imageLayout } from '../layout/image.js';
import { containerBits } from '../layout/pack-filter.js';
import type { GpuState } from './state.js';

/** The limits of a device that matter here. Workgroups are no such: buffers reach their limit long before two directions of 65535 do. */
export type Limits = Pick<
  GPUSupportedLimits,
  'maxBufferSize' | 'maxStorageBufferBindingSize' | 'minStorageBufferOffsetAlignment'
>;

/** Bytes that a buffer may have to be bound as a whole. */
export function mostBytes({
  maxBufferSize,
  maxStorageBufferBindingSize,
}: Pick<Limits, 'maxBufferSize' | 'maxStorageBufferBindingSize'>): number {
  return Math.min(maxBufferSize, maxStorageBufferBindingSize);
}

interface Case {
  geometry: ConvGeometry;
  bits: number;
  blockSize: number;
  depthwise: boolean;
  activationBits: number | null;
}

/**
 * How many pictures of a case one dispatch computes: all of them where their buffers can be bound as a whole, else as many as fit. A part of a buffer begins at
 * a multiple of the device's alignment, which only some numbers of pictures lead to.
 *
 * @returns the number, or which buffer is too large
 */
export function picturesAtOnce(limits: Limits, c: Case): number | { reason: string } {
  const { geometry: g, depthwise } = c;
  const most = mostBytes(limits);
  const depth = depthwise ? 1 : g.inChannels / g.groups;
  const filter = (g.kernelHeight * g.kernelWidth * depth * g.outChannels * containerBits(c.bits)) / 8;
  if (filter > most) return tooLarge('filter', filter, most);
  const inPixels = g.inHeight * g.inWidth;
  const tensors = {
    input: 4 * inPixels * g.inChannels,
    output: 4 * g.outHeight * g.outWidth * g.outChannels,
  };
  // Of one picture; images grow with them.
  const sizes: Record<string, number> = { ...tensors };
  if (c.activationBits !== null) {
    const format = { bits: c.activationBits, blockSize: c.blockSize, groups: depthwise ? 1 : g.groups };
    sizes['quantized input'] = imageLayout(inPixels, g.inChannels, format).byteLength;
  }
  for (const [what, bytes] of Object.entries(tensors)) {
    if (g.batch * bytes > limits.maxBufferSize) {
      return {
        reason: `its ${what} takes ${g.batch * bytes} bytes; this device has buffers of at most ${limits.maxBufferSize}`,
      };
    }
  }
  const [what, bytes] = Object.entries(sizes).reduce((a, b) => (b[1] > a[1] ? b : a));
  if (g.batch * bytes <= most) return g.batch;
  let step = 1;
  while (
    Object.values(tensors).some((size) => (step * size) % limits.minStorageBufferOffsetAlignment !== 0)
  ) {
    step *= 2;
  }
  const pictures = Math.floor(most / bytes / step) * step;
  return pictures > 0 ? pictures : tooLarge(what, Math.min(step, g.batch) * bytes, most);
}

function tooLarge(what: string, bytes: number, most: number): { reason: string } {
  return { reason: `its ${what} takes ${bytes} bytes at a time; this device binds at most ${most}` };
}

/** True, or which buffer of a case is too large for the limits. */
export function fitsLimits(limits: Limits, c: Case): Support {
  const pictures = picturesAtOnce(limits, c);
  return typeof pictures === 'number' ? true : pictures;
}

/**
 * Pictures of a convolution in one dispatch.
 *
 * @throws UnsupportedError with the reason of `picturesAtOnce`
 */
export function checkLimits(state: GpuState, { filter, geometry, activationBits }: DSConvAttributes): number {
  const { bits, blockSize, kind } = filter;
  const depthwise = kind === 'depthwise';
  const { limits } = state.device;
  const pictures = picturesAtOnce(limits, { geometry, bits, blockSize, depthwise, activationBits });
  if (typeof pictures === 'number') return pictures;
  throw new UnsupportedError(`backend 'webgpu' declines a convolution: ${pictures.reason}`);
}
