/** From a choice to an open device with its kernels. */
import { BackendUnavailableError } from '@dsconv/core';
import { loadAddon, loadKernels } from '../native/load.js';
import { probe } from '../native/probe.js';
import { CudaDevice } from './device.js';

export interface DeviceChoice {
  /** Number of the device; default the environment variable `DSCONV_CUDA_DEVICE`, else 0. */
  device?: number | undefined;
  /** Bytes that the backend may take of its memory. */
  memoryLimit?: number | undefined;
}

/** Why the device cannot be opened, or null. Silent, and no crash of a driver takes this process along. */
export async function whyNoDevice(choice: DeviceChoice): Promise<string | null> {
  try {
    await find(choice);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Opens the device and loads the kernels.
 *
 * With `DSCONV_CUDA_CACHE=off` blocks of memory have their exact size and go back to the driver at once, for compute-sanitizer and the like.
 *
 * @throws BackendUnavailableError with the reason
 */
export async function openDevice(choice: DeviceChoice): Promise<CudaDevice> {
  const { index, driver } = await find(choice);
  const kernels = await loadKernels(driver);
  const native = loadAddon().open(index);
  try {
    native.loadModule(kernels);
    const cache = process.env.DSCONV_CUDA_CACHE !== 'off';
    return new CudaDevice(index, native, { limit: choice.memoryLimit, cache });
  } catch (error) {
    native.close();
    throw error;
  }
}

async function find(choice: DeviceChoice) {
  const index = choice.device ?? deviceFromEnvironment();
  const driver = await probe();
  const found = driver.devices.find((device) => device.index === index);
  if (!found) {
    const count = driver.devices.length;
    throw new BackendUnavailableError(
      `there is no GPU ${index}; the driver has ${count === 1 ? 'one, number 0' : `${count}, from 0 to ${count - 1}`}`,
    );
  }
  if (!found.supported) {
    throw new BackendUnavailableError(
      `GPU ${index} (${found.name}) has compute capability ${found.computeCapability.join('.')}; expected 7.5 or newer`,
    );
  }
  return { index, driver };
}

/** @throws BackendUnavailableError when the variable is no number of a device */
function deviceFromEnvironment(): number {
  const text = process.env.DSCONV_CUDA_DEVICE;
  if (!text) return 0;
  const index = Number(text);
  if (!Number.isInteger(index) || index < 0) {
    throw new BackendUnavailableError(
      `DSCONV_CUDA_DEVICE is '${text}'; expected the number of a device, from 0`,
    );
  }
  return index;
}
