/**
 * TensorFlow.js backend `dsconv-cuda`: tensors in the memory of one NVIDIA GPU, and what kernels are written with. A kernel that doubles its input:
 *
 * ```ts
 * import { type CudaBackend, kernelConfig } from '../backend.js';
 * import { blocksFor, type Launcher } from '../device/launch.js';
 * import { packDouble } from '../device/params.js';   // written from kernels/params/*.h
 *
 * const THREADS = 256;
 *
 * // On addresses, so that plans can use it too: takes any Launcher, not the backend.
 * export function launchDouble(launcher: Launcher, x: number, y: number, count: number): void {
 *   launcher.launch({ kernel: 'double_values', grid: [blocksFor(count, THREADS)], threads: THREADS, params: packDouble({ x, y, count }) });
 * }
 *
 * export const doubleKernels = [
 *   kernelConfig('Double', ({ inputs, backend }) => {
 *     const x = backend.tensor(inputs.x!);
 *     return backend.make(inputs.x!.shape, 'float32', (y) => launchDouble(backend, x.address, y.address, x.size));
 *   }),
 * ];
 * ```
 *
 * - `tensor` brings values to the device that are still on the host; `values` does the opposite, and waits for the device, so it is for small inputs only.
 * - `make` frees its tensor when what it is given throws; `output` is the same in two steps; `reshaped` shares the data.
 * - `temporary` is scratch for the launches inside it; `allocate`, `uploaded` and `free` are for what stays, such as packed filters.
 * - Everything is on one stream, in the order of the calls; memory that is freed may be used by the next launch.
 * - Tensors without elements have address 0, and a grid with a 0 in it launches nothing.
 */
import { DisposedError } from '@dsconv/core';
import {
  type BackendTimingInfo,
  type BackendValues,
  type DataId,
  DataStorage,
  type DataType,
  engine,
  KernelBackend,
  type KernelConfig,
  type KernelFunc,
  type NamedTensorInfoMap,
  type TensorInfo,
  util,
} from '@tensorflow/tfjs-core';
import type { CudaDevice } from './device/device.js';
import type { CudaTier, Launch, Launcher } from './device/launch.js';
import { TensorEntry } from './device/tensor-entry.js';
import { type DeviceDataType, type DeviceValues, isDeviceType, typedValues } from './device/transfers.js';

/** A tensor's data on the device. */
export interface DeviceTensor {
  address: number;
  dtype: DeviceDataType;
  /** Elements. */
  size: number;
}

/** What TensorFlow.js hands to a kernel. */
export interface KernelArguments<A = Record<string, unknown>> {
  inputs: NamedTensorInfoMap;
  backend: CudaBackend;
  attrs: A;
}

/** A kernel as register.ts joins them. */
export type CudaKernel = Omit<KernelConfig, 'backendName'>;

/** A kernel's registration, typed by the attributes it takes. */
export function kernelConfig<A = Record<string, unknown>>(
  kernelName: string,
  kernel: (call: KernelArguments<A>) => TensorInfo | TensorInfo[],
): CudaKernel {
  return { kernelName, kernelFunc: kernel as unknown as KernelFunc };
}

let nextDataId = 0;

export class CudaBackend extends KernelBackend implements Launcher {
  /** Why kernels are switched off, by what they are called in messages. */
  readonly disabled = new Map<string, string>();
  private readonly data = new DataStorage<TensorEntry>(this, engine());
  private readonly onDispose: (() => void)[] = [];
  private disposed = false;

  constructor(
    readonly device: CudaDevice,
    /** May be changed by tests and by the self-test. */
    public tier: CudaTier = 'mma',
  ) {
    super();
  }

  // For kernels.

  /** A tensor on the device; its values are brought there at first use. @throws TypeError for string and complex64 */
  tensor(info: TensorInfo): DeviceTensor {
    const entry = this.entry(info.dataId);
    const address = entry.upload();
    return { address, dtype: entry.dtype as DeviceDataType, size: util.sizeFromShape(info.shape) };
  }

  /** The same for an input that may be missing. */
  optional(info: TensorInfo | null | undefined): DeviceTensor | null {
    return info ? this.tensor(info) : null;
  }

  /** The values of a tensor, as a typed array that is not to be written to. Waits for the device where they are there alone. */
  values(info: TensorInfo): DeviceValues {
    const entry = this.entry(info.dataId);
    return entry.readSync() as DeviceValues;
  }

  /** A new tensor on the device, its values not set. @throws OutOfMemoryError */
  output(shape: readonly number[], dtype: DeviceDataType): TensorInfo {
    this.alive();
    const size = util.sizeFromShape([...shape]);
    return { dataId: this.keep(TensorEntry.onDevice(this.device, dtype, size)), shape: [...shape], dtype };
  }

  /** A new tensor that `launches` fills; it is freed if they fail. */
  make(shape: readonly number[], dtype: DeviceDataType, launches: (y: DeviceTensor) => void): TensorInfo {
    const info = this.output(shape, dtype);
    try {
      launches(this.tensor(info));
    } catch (error) {
      this.disposeData(info.dataId);
      throw error;
    }
    return info;
  }

  /** A tensor with these values, on the host as yet. */
  makeTensorInfo(shape: readonly number[], dtype: DataType, values: BackendValues): TensorInfo {
    return { dataId: this.write(values, [...shape], dtype), shape: [...shape], dtype };
  }

  /** The same data in another shape. */
  reshaped(info: TensorInfo, shape: readonly number[]): TensorInfo {
    this.incRef(info.dataId);
    return { dataId: info.dataId, shape: [...shape], dtype: info.dtype };
  }

  launch(launch: Launch): void {
    this.alive();
    this.device.launch(launch, this.device.stream);
  }

  temporary<T>(bytes: number, use: (address: number) => T): T {
    const address = this.allocate(bytes);
    try {
      return use(address);
    } finally {
      this.free(address);
    }
  }

  copy(to: number, from: number, bytes: number): void {
    if (bytes === 0) return;
    this.device.call(() => this.device.native.copy(to, from, bytes, this.device.stream));
  }

  fill32(address: number, pattern: number, count: number): void {
    if (count === 0) return;
    this.device.call(() => this.device.native.fill32(address, pattern, count, this.device.stream));
  }

  /** Memory that stays until `free`. @throws OutOfMemoryError */
  allocate(bytes: number): number {
    this.alive();
    return this.device.memory.allocate(bytes);
  }

  /** Memory with these bytes, which stays until `free`. The array may be changed afterwards. */
  uploaded(view: ArrayBufferView): number {
    const address = this.allocate(view.byteLength);
    if (address === 0) return 0;
    try {
      this.device.call(() => this.device.native.write(address, view, this.device.stream));
    } catch (error) {
      this.free(address);
      throw error;
    }
    return address;
  }

  /** One more holder of memory that stays, so that it takes one more `free`. */
  retain(address: number): void {
    this.device.memory.retain(address);
  }

  /** Gives memory back that launches so far may still use. Does nothing once the backend is disposed of, or the device lost. */
  free(address: number): void {
    this.device.memory.free(address);
  }

  /** Calls `action` when the backend is disposed of, before its memory is. */
  whenDisposed(action: () => void): void {
    this.onDispose.push(action);
  }

  // For TensorFlow.js.

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

  private entry(dataId: DataId): TensorEntry {
    this.alive();
    return this.data.get(dataId);
  }

  private alive(): void {
    if (this.disposed) throw new DisposedError("backend 'dsconv-cuda' was used after dispose()");
    this.device.alive();
  }

  private hostEntry(values: BackendValues, shape: number[], dtype: DataType, refCount: number): TensorEntry {
    const host = isDeviceType(dtype) ? typedValues(values, dtype) : values;
    return new TensorEntry(this.device, dtype, util.sizeFromShape(shape), host, refCount);
  }

  private keep(entry: TensorEntry, dataId: DataId = { id: nextDataId++ }): DataId {
    this.data.set(dataId, entry);
    return dataId;
  }
}
