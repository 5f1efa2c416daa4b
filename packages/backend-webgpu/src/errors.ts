import { DSConvError } from '@dsconv/core';

/** The GPU device is gone (driver reset, tab in the background, `device.destroy()`); a new one has to be taken. */
export class DeviceLostError extends DSConvError {
  constructor(message: string) {
    super('DEVICE_LOST', message);
  }
}

/** A buffer does not fit what the device grants. */
export class OutOfMemoryError extends DSConvError {
  constructor(message: string) {
    super('OUT_OF_MEMORY', message);
  }
}
