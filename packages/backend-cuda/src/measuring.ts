/** What benchmarks ask of the device that the current backend is on. */
import { backend as tfBackend } from '@tensorflow/tfjs-core';
import type { DeviceInfo } from '../native/interface.js';
import type { CudaBackend } from './backend.js';
import { measurePeaks as measure, type Peaks } from './dsconv/peaks.js';
import { probe } from './native/probe.js';

export type { Peaks };

export interface DeviceDescription extends DeviceInfo {
  /** As the driver tells it: 1000 * major + 10 * minor of the CUDA version it knows. */
  driverVersion: number;
  /** True for the emulation of the tests: nothing that it computes was computed by a GPU, and its times say nothing. */
  emulated: boolean;
}

/** The device of the current backend, which must be `dsconv-cuda`. */
export async function describeDevice(): Promise<DeviceDescription> {
  const { driverVersion, emulated } = await probe();
  return { ...(tfBackend() as CudaBackend).device.info, driverVersion, emulated };
}

/** Rates that kernels reach on it which do nothing else. Takes half a GiB of device memory for a moment. */
export function measurePeaks(options?: { bytes?: number; turns?: number; runs?: number }): Promise<Peaks> {
  return measure(tfBackend() as CudaBackend, options);
}
