/** The part of a backend that TensorFlow.js asks for: data by their ids, references, memory, time. */
import { DisposedError } from '@dsconv/core';
import {
  type BackendTimingInfo,
  type BackendValues,
  type DataId,
  DataStorage,
  type DataType,
  engine,
  KernelBackend,
  util,
} from '@tensorflow/tfjs-core';
import type { CudaDevice } from './device.js';
import { TensorEntry } from './tensor-entry.js';
import { isDeviceType, typedValues } from './transfers.js';

let nextDataId = 0;

export class TensorStore extends KernelBackend {
  private readonly data = new DataStorage<TensorEntry>(this, engine());
  private readonly onDispose: (() => void)[] = [];
  private disposed = false;

  constructor(readonly device: CudaDevice) {
    super();
  }

  /** Calls `action` when the backend is disposed of, before its memory is. */
  whenDisposed(action: () => void): void {
    this.onDispose.push(action);
  }

  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    return this.keep(this.hostEntry(values, shape, dtype, 1));
  }

  override move(
    dataId: DataId,
    values: BackendValues,
    shape: number[],
    dtype: DataType,
    refCount: number,
  ): void {
    this.keep(this.hostEntry(values, shape, dtype, refCount), dataId);
  }

  override read(dataId: DataId): Promise<BackendValues> {
    return this.entry(dataId).read();
  }

  override readSync(dataId: DataId): BackendValues {
    return this.entry(dataId).readSync();
  }

  override disposeData(dataId: DataId, force = false): boolean {
    if (!this.data.has(dataId)) return true;
    const entry = this.data.get(dataId);
    entry.refCount--;
    if (!force && entry.refCount > 0) return false;
    this.data.delete(dataId);
    entry.release();
    return true;
  }

  override refCount(dataId: DataId): number {
    return this.data.has(dataId) ? this.data.get(dataId).refCount : 0;
  }

  override incRef(dataId: DataId): void {
    this.data.get(dataId).refCount++;
  }

  override numDataIds(): number {
    return this.data.numDataIds();
  }

  /** `numBytesInGPU` counts tensors; what is allocated has filters, plans, scratch and size classes in it. */
  override memory() {
    const { inUse, cached, limit } = this.device.memory;
    return {
      unreliable: false,
      numBytesInGPU: this.device.tensorBytes,
      numBytesInGPUAllocated: inUse + cached,
      numBytesInGPUFree: cached,
      numBytesInGPULimit: limit,
    };
  }

  override async time(f: () => void): Promise<BackendTimingInfo> {
    const { device } = this;
    const { native, stream } = device;
    const [start, end] = device.call(() => [native.createEvent(), native.createEvent()] as const);
    try {
      device.call(() => native.recordEvent(start, stream));
      f();
      device.call(() => native.recordEvent(end, stream));
      await device.later(() => native.synchronize(stream));
      return { kernelMs: device.call(() => native.elapsed(start, end)) };
    } finally {
      if (device.lost === null) for (const event of [start, end]) native.destroyEvent(event);
    }
  }

  override floatPrecision(): 32 {
    return 32;
  }

  /** As of all backends with float32. */
  override epsilon(): number {
    return 1e-7;
  }

  override dispose(): void {
    if (this.disposed) return;
    for (const action of this.onDispose.splice(0)) action();
    this.disposed = true;
    this.device.close();
  }

  /** Whether it can compute: neither disposed of, nor its device lost. */
  get usable(): boolean {
    return !this.disposed && this.device.usable;
  }

  protected entry(dataId: DataId): TensorEntry {
    this.alive();
    return this.data.get(dataId);
  }

  protected alive(): void {
    if (this.disposed) throw new DisposedError("backend 'dsconv-cuda' was used after dispose()");
    this.device.alive();
  }

  private hostEntry(values: BackendValues, shape: number[], dtype: DataType, refCount: number): TensorEntry {
    const host = isDeviceType(dtype) ? typedValues(values, dtype) : values;
    return new TensorEntry(this.device, dtype, util.sizeFromShape(shape), host, refCount);
  }

  protected keep(entry: TensorEntry, dataId: DataId = { id: nextDataId++ }): DataId {
    this.data.set(dataId, entry);
    return dataId;
  }
}
