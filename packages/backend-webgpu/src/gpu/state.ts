/** What this package keeps for one TensorFlow.js backend: pipelines, packed filters, and what is switched off. */
import { type DSConvFilter, FilterCache } from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { DeviceLostError } from '../errors.js';
import { type FilterWords, floatQuads, packFilter } from '../layout/pack-filter.js';
import { Buffers } from './buffers.js';
import type { Gpu } from './dispatch.js';
import { Pipelines } from './pipelines.js';
import { flushCommands } from './stream.js';
import type { GpuTier } from './variants.js';

/** A filter on the GPU. */
export interface PackedFilter extends Omit<FilterWords, 'weights' | 'scales'> {
  weights: GPUBuffer;
  scales: GPUBuffer;
  /** The cache is one holder, each plan that uses it another; the last one frees it. */
  holders: number;
}

/** Milliseconds in which a device says that it is lost, after an operation on it has failed. */
const PATIENCE = 1000;

/** Float weights on the GPU, in quads of output channels. */
export interface FloatFilter {
  weights: GPUBuffer;
  holders: number;
}

export class GpuState implements Gpu {
  readonly device: GPUDevice;
  readonly pipelines: Pipelines;
  readonly buffers: Buffers;
  /** Why a shader variant is switched off, by its key. */
  readonly disabled = new Map<string, string>();
  /** Tests of the shaders that only plans use, by their key: under way or done. */
  readonly tests = new Map<string, Promise<void>>();
  tier: GpuTier = 'naive';
  /** Why the device is lost, or null. */
  lost: string | null = null;
  private readonly packed: FilterCache<PackedFilter>;
  private readonly floats: FilterCache<FloatFilter>;

  constructor(readonly backend: WebGPUBackend) {
    this.device = backend.device;
    this.pipelines = new Pipelines(this.device);
    this.buffers = new Buffers(this.device);
    this.packed = new FilterCache(
      (filter, groups) => this.upload(filter, groups),
      (filter) => this.release(filter),
    );
    this.floats = new FilterCache(
      (filter, groups) => ({ weights: this.uploadFloats(filter, groups), holders: 1 }),
      (filter) => this.release(filter),
    );
    void this.device.lost.then(({ reason, message }) => {
      this.lost = message ? `${reason}: ${message}` : reason;
    });
    this.explainReads();
    const memory = backend.memory.bind(backend);
    backend.memory = () => ({ ...memory(), numBytesInDSConvFilters: this.buffers.bytes });
  }

  /** @throws DeviceLostError when there is no device any more */
  alive(): void {
    if (this.lost === null) return;
    throw new DeviceLostError(
      `the GPU device of backend 'webgpu' is lost (${this.lost}); expected a new one, by await useWebGPU()`,
    );
  }

  /** Throws what went wrong: the loss of the device, if it is lost by now, rather than the error that followed from it. */
  async rethrow(error: unknown): Promise<never> {
    // The device says that it is lost after the operations on it have failed, on a busy machine a while after.
    await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    this.alive();
    throw error;
  }

  /** Reading a tensor is where programs notice that a device is lost. */
  private explainReads(): void {
    const { backend } = this;
    const read = backend.read.bind(backend);
    backend.read = (dataId) => read(dataId).catch((error: unknown) => this.rethrow(error));
  }

  /** The filter's integers and scales. Only float activations (no bits) with the shifters' biases need the weights that they stand for. */
  filter(filter: DSConvFilter, groups: number, activationBits: number | null): PackedFilter | FloatFilter {
    const shifted = filter.stored('kdsBias') !== undefined || filter.stored('cdsBias') !== undefined;
    return (activationBits === null && shifted ? this.floats : this.packed).get(filter, groups);
  }

  /** Gives up one hold on a packing. */
  release(filter: PackedFilter | FloatFilter): void {
    if (--filter.holders > 0) return;
    this.free('scales' in filter ? [filter.weights, filter.scales] : [filter.weights]);
  }

  /** Frees buffers that commands recorded so far may read. */
  free(buffers: readonly GPUBuffer[]): void {
    if (this.lost === null) flushCommands(this.backend);
    for (const buffer of buffers) this.buffers.free(buffer);
  }

  private upload(filter: DSConvFilter, groups: number): PackedFilter {
    const { weights, scales, ...layout } = packFilter(filter, groups);
    const what = `the filter of shape [${filter.shape}]`;
    return {
      ...layout,
      holders: 1,
      weights: this.buffers.storage(weights as Uint32Array<ArrayBuffer>, what),
      scales: this.buffers.storage(scales as Uint32Array<ArrayBuffer>, `scales of ${what}`),
    };
  }

  private uploadFloats(filter: DSConvFilter, groups: number): GPUBuffer {
    const depthwise = filter.kind === 'depthwise';
    const quads = floatQuads(filter.dequantize(), filter.outChannels, depthwise ? 1 : groups);
    return this.buffers.storage(quads, `float weights of shape [${filter.shape}]`);
  }
}
