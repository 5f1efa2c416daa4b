/** `PadV2` and `MirrorPad`. */
import { MirrorPad, PadV2, type TensorInfo } from '@tensorflow/tfjs-core';
import { type CudaBackend, type CudaKernel, type KernelArguments, kernelConfig } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packPad } from '../device/params.js';
import { bytesPerElement, type DeviceDataType, isDeviceType } from '../device/transfers.js';
import { runOnHost } from '../fallback.js';
import { countingFields, gridFor, MAX_RANK, padded, product, stridesOf, THREADS } from './axes.js';
import { elementBits } from './fill.js';

/** PadMode of kernels/params/shape.h. */
const PAD_CODE = { constant: 0, reflect: 1, symmetric: 2 } as const;
export type PadMode = keyof typeof PAD_CODE;

/** Elements before and after along each axis. */
export type Paddings = readonly (readonly [number, number])[];

export interface PadCall {
  /** Device addresses. */
  x: number;
  y: number;
  dtype: DeviceDataType;
  /** Of x. */
  shape: readonly number[];
  /** None below 0. */
  paddings: Paddings;
  mode: PadMode;
  /** Of the constant border, as a typed array would store it. */
  value: number;
}

interface PadAxis {
  size: number;
  before: number;
  after: number;
}

/** The fewest axes: one without a border belongs to the one before it, unless that is mirrored. */
function padAxes(shape: readonly number[], paddings: Paddings, mode: PadMode): PadAxis[] {
  const axes: PadAxis[] = [];
  shape.forEach((size, n) => {
    const [before, after] = paddings[n]!;
    const last = axes.at(-1);
    const mirrored = mode !== 'constant' && last !== undefined && last.before + last.after > 0;
    if (before + after === 0 && last && !mirrored) {
      axes[axes.length - 1] = {
        size: last.size * size,
        before: last.before * size,
        after: last.after * size,
      };
    } else {
      axes.push({ size, before, after });
    }
  });
  return axes.length > 0 ? axes : [{ size: 1, before: 0, after: 0 }];
}

/** Elements that the kernel can copy at once: 16 bytes where the last axis and its border are multiples. */
function unitOf(axes: readonly PadAxis[], { mode, dtype, x, y }: PadCall): number {
  const bytes = bytesPerElement(dtype);
  const last = axes.at(-1)!;
  const factor = 16 / bytes;
  const parts = [last.size, last.before, last.after];
  // Runs that are mirrored turn round.
  const whole =
    parts.every((part) => part % factor === 0) && (mode === 'constant' || last.before + last.after === 0);
  return whole && x % 16 === 0 && y % 16 === 0 ? 16 : bytes;
}

/** x with a border. */
export function launchPad(launcher: Launcher, call: PadCall): void {
  const { x, y, dtype, mode, value } = call;
  let axes = padAxes(call.shape, call.paddings, mode);
  const bytes = bytesPerElement(dtype);
  const unit = unitOf(axes, call);
  const factor = unit / bytes;
  const last = axes.at(-1)!;
  const inUnits = { size: last.size / factor, before: last.before / factor, after: last.after / factor };
  axes = [...axes.slice(0, -1), inUnits];
  const sizes = axes.map(({ size, before, after }) => before + size + after);
  const count = product(sizes);
  if (count === 0) return;
  const bits = elementBits(value, dtype);
  launcher.launch({
    kernel: `pad_${unit}`,
    grid: gridFor(launcher, count),
    threads: THREADS,
    params: packPad({
      x,
      y,
      count,
      ...countingFields(sizes),
      xSize: padded(axes.map(({ size }) => size)),
      before: padded(axes.map(({ before }) => before)),
      xStride: padded(stridesOf(axes.map(({ size }) => size))),
      mode: PAD_CODE[mode],
      // Four bytes of bools, of which a kernel for single ones takes the first.
      bits: bytes === 1 ? Math.imul(bits, 0x01010101) >>> 0 : bits,
    }),
  });
}

/** Null where it stays with the CPU: negative borders, more axes than kernels count with. */
export function padTensor(
  backend: CudaBackend,
  x: TensorInfo,
  paddings: Paddings,
  mode: PadMode,
  value: number,
): TensorInfo | null {
  const { shape, dtype } = x;
  const isBorder = paddings.every(([before, after]) => before >= 0 && after >= 0);
  if (!isDeviceType(dtype) || !isBorder || padAxes(shape, paddings, mode).length > MAX_RANK) return null;
  const sizes = shape.map((size, axis) => paddings[axis]![0] + size + paddings[axis]![1]);
  return backend.make(sizes, dtype, (y) =>
    launchPad(backend, { x: backend.tensor(x).address, y: y.address, dtype, shape, paddings, mode, value }),
  );
}

export const padKernels: readonly CudaKernel[] = [
  kernelConfig<{ paddings: [number, number][]; constantValue: number }>(PadV2, (call) => {
    const { inputs, backend, attrs } = call;
    const result = padTensor(backend, inputs.x!, attrs.paddings, 'constant', attrs.constantValue);
    return result ?? runOnHost(PadV2, call as unknown as KernelArguments);
  }),
  kernelConfig<{ paddings: [number, number][]; mode: 'reflect' | 'symmetric' }>(MirrorPad, (call) => {
    const { inputs, backend, attrs } = call;
    const result = padTensor(backend, inputs.x!, attrs.paddings, attrs.mode, 0);
    return result ?? runOnHost(MirrorPad, call as unknown as KernelArguments);
  }),
];
