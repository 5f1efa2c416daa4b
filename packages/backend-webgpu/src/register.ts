/** Registration with TensorFlow.js and with core. */
import {
  BackendUnavailableError,
  CONTRACT_VERSION,
  type DSConvBackend,
  registerDSConvBackend,
} from '@dsconv/core';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import {
  copyRegisteredKernels,
  engine,
  findBackendFactory,
  registerBackend,
  registerKernel,
  setBackend,
  backend as tfBackend,
} from '@tensorflow/tfjs-core';
import { makeBackend } from './adapter.js';
import { Creation } from './creation.js';
import { type GpuTier, TIERS } from './gpu/variants.js';
import { dsconvKernels } from './kernels/dsconv.js';
import { compileTrace } from './plan/gpu-plan.js';
import { stateOf } from './states.js';

/** The TensorFlow.js backend whose kernels this package adds. */
export const BACKEND_NAME = 'webgpu';

/** TensorFlow.js's own priority of that backend. */
const PRIORITY = 3;

let stock: Creation | undefined;

/** Adds the kernels to the stock backend and describes it to core. Without WebGPU the backend is described as unavailable. */
export function registerWebGPUBackend(): void {
  for (const kernel of dsconvKernels) registerKernel({ ...kernel, backendName: BACKEND_NAME });
  const registered = engine().registryFactory[BACKEND_NAME];
  const creation = new Creation(BACKEND_NAME, registered?.factory ?? null, PRIORITY);
  if (registered) registered.factory = () => creation.take();
  registerDSConvBackend(describe(creation));
  stock = creation;
}

/**
 * Makes the TensorFlow.js backend `webgpu` anew and current: on a device that the caller hands over, or on a new one. It is the way back
 * after a device was lost. Tensors of the old backend are gone; filters and networks upload their weights again.
 *
 * The device should have been requested with the limits of its adapter; the kernels need no features.
 *
 * @returns the tier in use
 * @throws BackendUnavailableError with the reason when DSConv does not run on it; the stock kernels may do so nevertheless
 */
export async function useWebGPU(device?: GPUDevice): Promise<GpuTier> {
  const creation = stock!;
  const backend = device ? new WebGPUBackend(device, device.adapterInfo) : await makeBackend();
  creation.forget();
  await creation.adopt(backend);
  engine().registry[BACKEND_NAME] = backend;
  await setBackend(BACKEND_NAME);
  if (creation.reason !== null) throw new BackendUnavailableError(creation.reason);
  return creation.state!.tier;
}

/** Registers a backend with a device of its own that is pinned to one tier, and returns its name. */
function pinTier(tier: string): string {
  if (!TIERS.includes(tier as GpuTier)) {
    throw new BackendUnavailableError(`tier is '${tier}'; expected one of ${TIERS.join(', ')}`);
  }
  const name = `${BACKEND_NAME}/${tier}`;
  if (findBackendFactory(name)) return name;
  const creation = new Creation(name, makeBackend, 0, tier as GpuTier);
  registerBackend(name, () => creation.take(), 0);
  copyRegisteredKernels(BACKEND_NAME, name);
  registerDSConvBackend(describe(creation));
  return name;
}

function describe(creation: Creation): DSConvBackend {
  return {
    name: creation.name,
    contractVersion: CONTRACT_VERSION,
    supports: (spec) => creation.supports(spec),
    probe: () => creation.probe(),
    tiers: () => creation.tiers(),
    activeTier: () => creation.state?.tier ?? null,
    pinTier,
    compilePlan: (trace, options) => compileTrace(stateOf(tfBackend() as WebGPUBackend), trace, options),
  };
}
