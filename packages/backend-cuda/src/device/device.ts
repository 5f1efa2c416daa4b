/** One device of the driver, opened: its memory, its main stream, and what became of it. */
import { DisposedError } from '@dsconv/core';
import type { DeviceInfo, CudaDevice as NativeDevice } from '../../native/interface.js';
import { CudaError, codeOf, DeviceLostError } from '../errors.js';
import { Allocator, type AllocatorOptions } from './allocator.js';
import type { Launch } from './launch.js';

export type { DeviceInfo };

/** A stream of the driver. */
export type Stream = number;

export class CudaDevice {
  readonly info: DeviceInfo;
  /** Eager kernels, uploads and reads are on it, in the order of the calls. */
  readonly stream: Stream;
  readonly memory: Allocator;
  /** Why the device is lost, or null. */
  lost: string | null = null;
  /** Whether kernels of wgmma may be chosen: true once they gave their known answers here. */
  wgmma = false;
  /** Bytes of the tensors that are in its memory. */
  tensorBytes = 0;
  private closed = false;

  /** @param native with the kernels loaded */
  constructor(
    /** The number of the device, as the driver counts. */
    readonly index: number,
    readonly native: NativeDevice,
    options: AllocatorOptions = {},
  ) {
    this.info = native.info;
    this.stream = this.newStream();
    this.memory = new Allocator(
      {
        malloc: (bytes) => this.call(() => native.malloc(bytes)),
        free: (address) => this.call(() => native.free(address)),
        memoryInfo: () => this.call(() => native.memoryInfo()),
        isOutOfMemory: (error) => codeOf(error) === 'OUT_OF_MEMORY',
      },
      options,
    );
  }

  /** Whether the driver can still be asked for anything. */
  get usable(): boolean {
    return !this.closed && this.lost === null;
  }

  /** @throws DeviceLostError when there is no device any more */
  alive(): void {
    if (this.lost === null) return;
    throw new DeviceLostError(
      `GPU ${this.index} (${this.info.name}) is lost (${this.lost}); expected a new backend, by await useCuda()`,
    );
  }

  /** Calls the driver; its errors become typed ones. */
  call<T>(action: () => T): T {
    this.alive();
    try {
      return action();
    } catch (error) {
      throw this.explain(error);
    }
  }

  /** The same for what is ready later. */
  async later<T>(action: () => Promise<T>): Promise<T> {
    this.alive();
    try {
      return await action();
    } catch (error) {
      throw this.explain(error);
    }
  }

  launch({ kernel, grid, threads, sharedBytes = 0, params }: Launch, stream: Stream): void {
    const [x, y = 1, z = 1] = grid;
    if (x === 0 || y === 0 || z === 0) return;
    this.call(() => {
      const kernelFunction = this.native.getFunction(kernel, sharedBytes);
      this.native.launch(kernelFunction, x, y, z, threads, sharedBytes, params, stream);
    });
  }

  newStream(): Stream {
    return this.call(() => this.native.createStream());
  }

  /** Waits for its work. Nothing to do where the device is gone. */
  endStream(stream: Stream): void {
    if (this.usable) this.call(() => this.native.destroyStream(stream));
  }

  /** Gives everything back, plans and filters included; what is under way is waited for or rejected. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.memory.abandon();
    this.native.close();
  }

  private explain(error: unknown): unknown {
    const message = error instanceof Error ? error.message : String(error);
    switch (codeOf(error)) {
      case 'DEVICE_LOST':
        this.lose(message);
        return new DeviceLostError(
          `GPU ${this.index} (${this.info.name}) is lost (${message}); expected a new backend, by await useCuda()`,
          { cause: error },
        );
      case 'CUDA_ERROR':
        return new CudaError(`GPU ${this.index} (${this.info.name}): ${message}`, { cause: error });
      case 'CLOSED':
        return new DisposedError(
          `GPU ${this.index} (${this.info.name}) was used after its backend was disposed of`,
        );
      default:
        return error;
    }
  }

  private lose(reason: string): void {
    if (this.lost !== null) return;
    this.lost = reason;
    this.memory.abandon();
  }
}
