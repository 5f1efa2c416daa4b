/** Values of tensors on the host and their bytes on the device: float32 and int32 in 4 bytes, bool in 1. */
import type { BackendValues, DataType } from '@tensorflow/tfjs-core';

/** Types of data that live on the device; string and complex64 stay on the host. */
export type DeviceDataType = 'float32' | 'int32' | 'bool';

/** Values as the device has them. */
export type DeviceValues = Float32Array | Int32Array | Uint8Array;

export function isDeviceType(dtype: DataType): dtype is DeviceDataType {
  return dtype === 'float32' || dtype === 'int32' || dtype === 'bool';
}

export function bytesPerElement(dtype: DeviceDataType): number {
  return dtype === 'bool' ? 1 : 4;
}

/** Room for so many values that come from the device. */
export function emptyValues(dtype: DeviceDataType, size: number): DeviceValues {
  if (dtype === 'float32') return new Float32Array(size);
  return dtype === 'int32' ? new Int32Array(size) : new Uint8Array(size);
}

/** The values in the array type of their dtype: the array itself where it has that type already, else a converted copy. */
export function typedValues(values: BackendValues, dtype: DeviceDataType): DeviceValues {
  const numbers = values as DeviceValues;
  if (dtype === 'float32') return numbers instanceof Float32Array ? numbers : Float32Array.from(numbers);
  if (dtype === 'int32') return numbers instanceof Int32Array ? numbers : Int32Array.from(numbers);
  if (numbers instanceof Uint8Array) return numbers;
  return Uint8Array.from(numbers as ArrayLike<number>, (value) => (value ? 1 : 0));
}
