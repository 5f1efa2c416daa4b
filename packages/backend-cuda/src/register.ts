/** Registration with TensorFlow.js and with core. */
import {
  BackendUnavailableError,
  CONTRACT_VERSION,
  type DSConvBackend,
  InvalidArgumentError,
  registerDSConvBackend,
} from '@dsconv/core';
import '@tensorflow/tfjs-backend-cpu';
import { findBackendFactory, registerKernel, setBackend, backend as tfBackend } from '@tensorflow/tfjs-core';
import type { CudaBackend } from './backend.js';
import { Creation } from './creation.js';
import { type CudaTier, TIERS } from './device/launch.js';
import type { DeviceChoice } from './device/open.js';
import { supports } from './dsconv/supports.js';
import { allKernels } from './kernels.js';
import { compileTrace } from './plan/cuda-plan.js';

export const BACKEND_NAME = 'dsconv-cuda';

/** What `useCuda` takes. */
export interface CudaOptions {
  /** Number of the device, as the driver counts; default the environment variable `DSCONV_CUDA_DEVICE`, else 0. */
  device?: number;
  /** Bytes of device memory that the backend may take; default nine tenths of what is free when it is made. */
  memoryLimit?: number;
}

const creations = new Map<string, Creation>();

/** Registers the backend under a name. Without `tier` the best one that works is chosen when the backend is created. */
export function registerCudaBackend(name: string, pinned?: CudaTier): void {
  if (findBackendFactory(name)) return;
  const creation = new Creation(name, pinned, creations.get(BACKEND_NAME)?.choice ?? {});
  creation.forget();
  for (const kernel of allKernels()) registerKernel({ ...kernel, backendName: name });
  registerDSConvBackend(describe(creation));
  creations.set(name, creation);
}

/**
 * Makes the backend `dsconv-cuda` anew and current: on another device, with another limit, or after a device was lost. Tensors of the old backend are gone;
 * filters and networks upload their weights again.
 *
 * @returns the tier in use
 * @throws BackendUnavailableError with the reason when it cannot run there
 */
export async function useCuda(options: CudaOptions = {}): Promise<CudaTier> {
  const creation = creations.get(BACKEND_NAME)!;
  creation.choice = checked(options);
  creation.forget();
  const support = await creation.probe();
  if (support !== true) throw new BackendUnavailableError(support.reason);
  await setBackend(BACKEND_NAME);
  return creation.tier!;
}

function checked({ device, memoryLimit }: CudaOptions): DeviceChoice {
  if (device !== undefined && !(Number.isInteger(device) && device >= 0)) {
    throw new InvalidArgumentError(`device is ${device}; expected the number of a device, from 0`);
  }
  if (memoryLimit !== undefined && !(memoryLimit > 0)) {
    throw new InvalidArgumentError(`memoryLimit is ${memoryLimit}; expected bytes above 0`);
  }
  return { device, memoryLimit };
}

/** Registers a backend with a device of its own that is pinned to one tier, and returns its name. */
function pinTier(tier: string): string {
  if (!TIERS.includes(tier as CudaTier)) {
    throw new BackendUnavailableError(`tier is '${tier}'; expected one of ${TIERS.join(', ')}`);
  }
  const name = `${BACKEND_NAME}/${tier}`;
  registerCudaBackend(name, tier as CudaTier);
  return name;
}

function describe(creation: Creation): DSConvBackend {
  return {
    name: creation.name,
    contractVersion: CONTRACT_VERSION,
    supports,
    probe: () => creation.probe(),
    tiers: () => creation.tiers(),
    activeTier: () => creation.tier,
    pinTier,
    compilePlan: (trace, options) => compileTrace(tfBackend() as CudaBackend, trace, options),
  };
}
