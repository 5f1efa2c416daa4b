/** The GPU that is measured. */
import { describeDevice, useCuda } from '@dsconv/backend-cuda';
import { backend } from '@tensorflow/tfjs-core';

/** Makes `dsconv-cuda` the current backend, and describes its device. @throws Error on the emulation, unless it is allowed */
export async function openDevice({ emulated }) {
  const tier = await useCuda();
  const device = await describeDevice();
  if (device.emulated && !emulated) {
    throw new Error('this is the emulation of the tests, no GPU; --emulated allows it');
  }
  if (tier !== 'mma') throw new Error(`the tier in use is '${tier}'; expected 'mma', the one to measure`);
  return device;
}

/** Waits until the device has done everything on its main stream. */
export const synchronize = () => backend().device.native.synchronize(backend().device.stream);

/** Bytes of device memory that are taken by what is alive. */
export const bytesInUse = () => backend().device.memory.inUse;
