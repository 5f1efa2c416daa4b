/** `Slice` and `PadV2`: a box of one tensor inside another. */
import {
  type KernelConfig,
  type KernelFunc,
  PadV2,
  Slice,
  slice_util,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import { hasEngine, type KernelArguments, runCpuKernel, sizeOf } from './fallback.js';

/** What the engine can count with. */
const MAX_RANK = 6;

function slice(
  args: KernelArguments<{ x: TensorInfo }, { begin: number | number[]; size: number | number[] }>,
): TensorInfo {
  const { inputs, backend, attrs } = args;
  const { x } = inputs;
  const extra = hasEngine(backend, x) ? backend.engine!.extra : null;
  if (!extra || x.shape.length === 0 || x.shape.length > MAX_RANK) return runCpuKernel(Slice, args);
  const [begin, size] = slice_util.parseSliceParams(x as never, attrs.begin, attrs.size);
  slice_util.assertParamsValid(x as never, begin, size);
  const source = backend.operand(x);
  const origin = begin.map(() => 0);
  return backend.fill(size, (_engine, y) =>
    extra.copyBox(source, y, { size, xShape: x.shape, xFrom: begin, yShape: size, yFrom: origin }),
  );
}

function pad(
  args: KernelArguments<{ x: TensorInfo }, { paddings: [number, number][]; constantValue: number }>,
): TensorInfo {
  const { inputs, backend, attrs } = args;
  const { x } = inputs;
  const { paddings, constantValue } = attrs;
  const extra = hasEngine(backend, x) ? backend.engine!.extra : null;
  const isPadding = paddings.every(([before, after]) => before >= 0 && after >= 0);
  if (!extra || !isPadding || x.shape.length === 0 || x.shape.length > MAX_RANK || sizeOf(x) === 0) {
    return runCpuKernel(PadV2, args);
  }
  const shape = x.shape.map((size, axis) => paddings[axis]![0] + size + paddings[axis]![1]);
  const source = backend.operand(x);
  return backend.fill(shape, (_engine, y) => {
    (y as Float32Array).fill(constantValue);
    extra.copyBox(source, y, {
      size: x.shape,
      xShape: x.shape,
      xFrom: x.shape.map(() => 0),
      yShape: shape,
      yFrom: paddings.map(([before]) => before),
    });
  });
}

export const boxKernels: Omit<KernelConfig, 'backendName'>[] = [
  { kernelName: Slice, kernelFunc: slice as unknown as KernelFunc },
  { kernelName: PadV2, kernelFunc: pad as unknown as KernelFunc },
];
