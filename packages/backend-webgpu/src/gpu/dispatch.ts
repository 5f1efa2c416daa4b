/** One dispatch: pipeline, bind group, workgroups. Eager kernels encode it at once, plans keep it. */
import { UnsupportedError } from '@dsconv/core';
import type { Buffers, Slice } from './buffers.js';
import type { Pipelines } from './pipelines.js';
import type { ConvolutionVariant, Variant } from './variants.js';

export interface Dispatch {
  pipeline: GPUComputePipeline;
  bindGroup: GPUBindGroup;
  workgroups: [number, number, number];
}

/** What one device needs to compute: shared by eager kernels and plans. */
export interface Gpu {
  device: GPUDevice;
  pipelines: Pipelines;
  buffers: Buffers;
}

/** Spreads a count over two directions, whose product may be larger; shaders leave out what is too much. */
function spread(count: number, { limits }: GPUDevice): [number, number] {
  const rows = Math.max(1, Math.ceil(count / limits.maxComputeWorkgroupsPerDimension));
  return [Math.max(1, Math.ceil(count / rows)), rows];
}

/** Operands of a shader with the layout 'call', absent ones null. */
export interface CallOperands {
  activations: Slice;
  weights: Slice;
  scales: Slice | null;
  bias: Slice | null;
  slopes: Slice | null;
  residual: Slice | null;
  result: Slice | null;
  image: Slice | null;
}

/** A convolution of so many output pixels in rows of that width, with so many quads of output channels in each of its groups. */
export function callDispatch(
  gpu: Gpu,
  variant: ConvolutionVariant,
  block: Uint32Array<ArrayBuffer>,
  operands: CallOperands,
  size: { pixels: number; outWidth: number; groupQuads: number; groups: number },
): Dispatch {
  const { device, buffers } = gpu;
  const none = buffers.dummy(0);
  const slices = [
    { buffer: buffers.block(block) },
    operands.activations,
    operands.weights,
    operands.scales ?? none,
    operands.bias ?? none,
    operands.slopes ?? none,
    operands.residual ?? none,
    operands.result ?? buffers.dummy(1),
    operands.image ?? buffers.dummy(2),
  ];
  const { tile } = variant;
  const { outWidth, groupQuads, groups } = size;
  if (!tile) {
    const workgroups = spread(Math.ceil((4 * size.pixels * groups * groupQuads) / 64), device);
    return finishDispatch(gpu, variant, slices, [...workgroups, 1]);
  }
  const x = tile.inGroup
    ? groups * Math.ceil(groupQuads / tile.quads)
    : Math.ceil((groups * groupQuads) / tile.quads);
  const pixels = tile.inRows ? (size.pixels / outWidth) * 4 * Math.ceil(outWidth / 4) : size.pixels;
  return finishDispatch(gpu, variant, slices, [x, ...spread(Math.ceil(pixels / tile.pixels), device)]);
}

/** Rounds rows of channels (bfp_quantize.wgsl): `x` to `image`, or `result` in place. */
export function rowsDispatch(
  gpu: Gpu,
  variant: Variant,
  block: Uint32Array<ArrayBuffer>,
  operands: { x: Slice | null; result: Slice | null; image: Slice | null },
  count: number,
): Dispatch {
  const { device, buffers } = gpu;
  const slices = [
    { buffer: buffers.block(block) },
    operands.x ?? buffers.dummy(0),
    operands.result ?? buffers.dummy(1),
    operands.image ?? buffers.dummy(2),
  ];
  return finishDispatch(gpu, variant, slices, [...spread(Math.ceil(count / 64), device), 1]);
}

/** A step that is no convolution (step.wgsl): absent operands are null. */
export function stepDispatch(
  gpu: Gpu,
  variant: Variant,
  block: Uint32Array<ArrayBuffer>,
  operands: { a: Slice; b: Slice | null; c: Slice | null; y: Slice },
  workgroups: number,
): Dispatch {
  const { device, buffers } = gpu;
  const none = buffers.dummy(0);
  const { a, b, c, y } = operands;
  const slices = [{ buffer: buffers.block(block) }, a, b ?? none, c ?? none, y];
  return finishDispatch(gpu, variant, slices, [...spread(workgroups, device), 1]);
}

function finishDispatch(
  { device, pipelines }: Gpu,
  variant: Variant,
  slices: readonly Slice[],
  workgroups: [number, number, number],
): Dispatch {
  const most = device.limits.maxComputeWorkgroupsPerDimension;
  if (workgroups.some((count) => count > most)) {
    throw new UnsupportedError(
      `shader '${variant.key}' would need [${workgroups}] workgroups; this device allows ${most} in each direction`,
    );
  }
  const bindGroup = device.createBindGroup({
    layout: pipelines.layout(variant.layout),
    entries: slices.map((resource, binding) => ({ binding, resource })),
  });
  return { pipeline: pipelines.get(variant), bindGroup, workgroups };
}
