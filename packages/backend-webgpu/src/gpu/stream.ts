/**
 * TensorFlow.js's stream of commands, in which this package's dispatches take their place between those of the stock kernels. Its parts are
 * private in TypeScript; they are the same in all of 4.x.
 */

import { UnsupportedError } from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { type DataId, env, type TensorInfo } from '@tensorflow/tfjs-core';
import type { Dispatch } from './dispatch.js';

interface CommandStream {
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  dispatchCountInPass: number;
  /** Data that must live until the commands are submitted. */
  commandQueueOwnedIds: WeakSet<DataId>;
}

const streamOf = (backend: WebGPUBackend): CommandStream => backend as unknown as CommandStream;

/** Records dispatches that read and write the data of `tensors`. */
export function encode(
  backend: WebGPUBackend,
  dispatches: readonly Dispatch[],
  tensors: readonly TensorInfo[],
): void {
  const stream = streamOf(backend);
  backend.ensureCommandEncoderReady();
  stream.computePassEncoder ??= stream.commandEncoder!.beginComputePass();
  for (const { pipeline, bindGroup, workgroups } of dispatches) {
    stream.computePassEncoder.setPipeline(pipeline);
    stream.computePassEncoder.setBindGroup(0, bindGroup);
    stream.computePassEncoder.dispatchWorkgroups(...workgroups);
    stream.dispatchCountInPass++;
  }
  for (const { dataId } of tensors) stream.commandQueueOwnedIds.add(dataId);
  if (stream.dispatchCountInPass >= env().getNumber('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE')) {
    flushCommands(backend);
  }
}

/** Submits what was recorded so far. */
export function flushCommands(backend: WebGPUBackend): void {
  if (!streamOf(backend).commandEncoder) return;
  backend.endComputePassEncoder();
  backend.submitQueue();
}

/** The buffer of a tensor, which moves to the GPU if it is not there yet. */
export function bufferOf(backend: WebGPUBackend, { dataId, shape }: TensorInfo): GPUBuffer {
  backend.uploadToGPU(dataId);
  const { resource } = backend.tensorMap.get(dataId);
  if (resource instanceof GPUBuffer) return resource;
  throw new UnsupportedError(`a tensor of shape [${shape}] is a texture; expected a buffer`);
}

const TEMPORARY = () => GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/**
 * Memory for the commands that `use` records. It is of the same pool as tensors, and commands run in order, so it can be given back
 * right after.
 */
export function withTemporary<T>(backend: WebGPUBackend, bytes: number, use: (buffer: GPUBuffer) => T): T {
  const buffer = backend.bufferManager.acquireBuffer(Math.max(16, bytes), TEMPORARY());
  try {
    return use(buffer);
  } finally {
    backend.bufferManager.releaseBuffer(buffer);
  }
}
