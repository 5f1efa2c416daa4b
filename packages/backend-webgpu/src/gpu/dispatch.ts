/** One dispatch: pipeline, bind group, workgroups. Eager kernels encode it at once, plans keep it. */
import { UnsupportedError } from '@dsconv/core';
import type { Buffers, Slice } from './buffers.js';
import type { Pipelines } from './pipelines.js';
import type { Variant } from './variants.js';

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

/** Spreads a count over y and z, whose product may be larger; shaders leave out what is too much. */
export function spread(count: number, most: number): [number, number] {
  if (count <= most) return [Math.max(1, count), 1];
  const z = Math.ceil(count / most);
  return [Math.ceil(count / z), z];
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

/**
 * @param rows pixels of the output
 * @param quadsPerGroup output channels of a group in quads, of `groups` groups
 */
export function callDispatch(
  gpu: Gpu,
  variant: Variant,
  block: Uint32Array<ArrayBuffer>,
  operands: CallOperands,
  size: { pixels: number; groupQuads: number; groups: number },
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
  const most = device.limits.maxComputeWorkgroupsPerDimension;
  let workgroups: [number, number, number];
  if (variant.key.startsWith('naive')) {
    const count = Math.ceil((size.pixels * size.groups * size.groupQuads * 4) / 64);
    const x = Math.min(count, most);
    workgroups = [x, Math.ceil(count / x), 1];
  } else {
    // Tiles do not cross groups; the other shaders count quads through all of them.
    const quads = variant.channels / 4;
    const x = variant.key.startsWith('tile')
      ? size.groups * Math.ceil(size.groupQuads / quads)
      : Math.ceil((size.groups * size.groupQuads) / quads);
    workgroups = [x, ...spread(Math.ceil(size.pixels / variant.pixels), most)];
  }
  return finishDispatch(gpu, variant, slices, workgroups);
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
  const workgroups = Math.ceil(count / 64);
  const x = Math.max(1, Math.min(workgroups, device.limits.maxComputeWorkgroupsPerDimension));
  return finishDispatch(gpu, variant, slices, [x, Math.max(1, Math.ceil(workgroups / x)), 1]);
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
  const x = Math.max(1, Math.min(workgroups, device.limits.maxComputeWorkgroupsPerDimension));
  return finishDispatch(gpu, variant, slices, [x, Math.max(1, Math.ceil(workgroups / x)), 1]);
}

export function finishDispatch(
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
