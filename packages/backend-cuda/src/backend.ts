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
import {
  type BackendValues,
  type DataType,
  type KernelConfig,
  type KernelFunc,
  type NamedTensorInfoMap,
  type TensorInfo,
  util,
} from '@tensorflow/tfjs-core';
import type { CudaDevice } from './device/device.js';
import type { CudaTier, Launch, Launcher } from './device/launch.js';
import { TensorEntry } from './device/tensor-entry.js';
import { TensorStore } from './device/tensor-store.js';
import type { DeviceDataType, DeviceValues } from './device/transfers.js';

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

export class CudaBackend extends TensorStore implements Launcher {
  /** Why kernels are switched off, by what they are called in messages. */
  readonly disabled = new Map<string, string>();

  constructor(
    device: CudaDevice,
    /** May be changed by tests and by the self-test. */
    public tier: CudaTier = 'mma',
  ) {
    super(device);
  }

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

  /** Puts a tensor's values at an address, without bringing the tensor to the device. */
  copyTensor(info: TensorInfo, to: number): void {
    this.entry(info.dataId).copyTo(to);
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
}
