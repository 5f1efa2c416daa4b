/** The data of one or more tensors: on the host until a kernel wants it, then on the device. */
import type { BackendValues, DataType } from '@tensorflow/tfjs-core';
import type { CudaDevice } from './device.js';
import {
  bytesPerElement,
  type DeviceDataType,
  type DeviceValues,
  emptyValues,
  isDeviceType,
  typedValues,
} from './transfers.js';

/** Values of at most so many bytes stay on the host as well: shapes, axes, scalars that kernels look at. */
const SMALL_BYTES = 256;

export class TensorEntry {
  refCount: number;
  /** Null while nothing of it is on the device. Data without elements has no address even there. */
  private address: number | null = null;

  /**
   * @param device on which values may be; it counts them
   * @param host values, or null where they are on the device alone; complex64 as pairs
   * @param size elements
   */
  constructor(
    private readonly device: CudaDevice,
    readonly dtype: DataType,
    readonly size: number,
    private host: BackendValues | null,
    refCount: number,
  ) {
    this.refCount = refCount;
  }

  /** New data on the device, its values not set. */
  static onDevice(device: CudaDevice, dtype: DeviceDataType, size: number): TensorEntry {
    const entry = new TensorEntry(device, dtype, size, null, 1);
    entry.address = device.memory.allocate(size * bytesPerElement(dtype));
    device.tensorBytes += entry.deviceBytes;
    return entry;
  }

  private get deviceBytes(): number {
    return this.address !== null && isDeviceType(this.dtype) ? this.size * bytesPerElement(this.dtype) : 0;
  }

  /** The address on the device, where the values are brought if they are not there yet. 0 without elements. */
  upload(): number {
    if (this.address !== null) return this.address;
    const { dtype, device } = this;
    if (!isDeviceType(dtype)) {
      throw new TypeError(
        `a tensor has dtype ${dtype}, which stays on the host; expected float32, int32 or bool`,
      );
    }
    const values = typedValues(this.host!, dtype);
    const address = device.memory.allocate(values.byteLength);
    try {
      if (address !== 0) device.call(() => device.native.write(address, values, device.stream));
    } catch (error) {
      device.memory.free(address);
      throw error;
    }
    if (values.byteLength > SMALL_BYTES) this.host = null;
    this.address = address;
    device.tensorBytes += values.byteLength;
    return address;
  }

  /** Puts the values at an address, from wherever they are. */
  copyTo(address: number): void {
    const { device, dtype } = this;
    if (this.size === 0) return;
    device.call(() => {
      if (this.address !== null) {
        const bytes = this.size * bytesPerElement(dtype as DeviceDataType);
        device.native.copy(address, this.address, bytes, device.stream);
      } else {
        device.native.write(address, typedValues(this.host!, dtype as DeviceDataType), device.stream);
      }
    });
  }

  /** The values; waits for the device where they are there alone. Not to be written to. */
  readSync(): BackendValues {
    if (this.host !== null) return this.host;
    const values = this.room();
    if (this.size > 0)
      this.device.call(() => this.device.native.readSync(this.address!, values, this.device.stream));
    return values;
  }

  /** The same without blocking. What is launched after the call does not change what it reads. */
  async read(): Promise<BackendValues> {
    if (this.host !== null) return this.host;
    const values = this.room();
    if (this.size > 0) {
      await this.device.later(() => this.device.native.read(this.address!, values, this.device.stream));
    }
    return values;
  }

  release(): void {
    this.device.tensorBytes -= this.deviceBytes;
    if (this.address !== null) this.device.memory.free(this.address);
    this.address = null;
    this.host = null;
  }

  private room(): DeviceValues {
    return emptyValues(this.dtype as DeviceDataType, this.size);
  }
}
