/** Registration with TensorFlow.js and with core. */
import {
  BackendUnavailableError,
  CONTRACT_VERSION,
  type DSConvBackend,
  registerDSConvBackend,
  runSelfTest,
  type Support,
  type TierStatus,
} from '@dsconv/core';
import '@tensorflow/tfjs-backend-cpu';
import {
  copyRegisteredKernels,
  findBackendFactory,
  getKernel,
  type KernelConfig,
  registerBackend,
  registerKernel,
  backend as tfBackend,
  unregisterKernel,
} from '@tensorflow/tfjs-core';
import { DSConvCpuBackend } from './backend.js';
import type { Engine } from './engine.js';
import { batchNormKernels } from './kernels/batch-norm.js';
import { bfpKernels } from './kernels/bfp-round.js';
import { boxKernels } from './kernels/boxes.js';
import { compareKernels } from './kernels/compare.js';
import { convKernels } from './kernels/conv2d.js';
import { dsconvKernels } from './kernels/dsconv.js';
import { elementwiseKernels } from './kernels/elementwise.js';
import { gradientKernels } from './kernels/gradients.js';
import { matMulKernels } from './kernels/mat-mul.js';
import { poolKernels } from './kernels/pool.js';
import { sumKernel } from './kernels/sum.js';
import { NativeEngine } from './native/engine.js';
import { loadNative } from './native/load.js';
import { bytesToKeep } from './native/memory-limit.js';
import { compileTrace } from './plan/compile.js';
import { type CpuTier, forcedTier, instantiateTier, TIERS, tierStatus } from './tiers.js';
import { WasmEngine } from './wasm/engine.js';
import { WasmHeap } from './wasm/heap.js';
import { addHelpers } from './wasm/thread-count.js';

export const BACKEND_NAME = 'dsconv-cpu';

/** Below the priority of every stock backend: importing this package changes no program; `setBackend` or `selectBackend` does. */
const PRIORITY = 0;

const KERNELS: readonly Omit<KernelConfig, 'backendName'>[] = [
  ...dsconvKernels,
  ...bfpKernels,
  ...batchNormKernels,
  ...boxKernels,
  sumKernel,
  ...convKernels,
  ...gradientKernels,
  ...matMulKernels,
  ...poolKernels,
  ...elementwiseKernels,
  ...compareKernels,
];

/** Registers the backend under a name. Without `tier` the best one that works is chosen when the backend is created. */
export function registerCpuBackend(name: string, pinned?: CpuTier): void {
  if (findBackendFactory(name)) return;
  const creation = new Creation(name, pinned);
  registerBackend(name, () => creation.take(), PRIORITY);
  copyRegisteredKernels('cpu', name);
  for (const kernel of KERNELS) {
    if (getKernel(kernel.kernelName, name)) unregisterKernel(kernel.kernelName, name);
    registerKernel({ ...kernel, backendName: name });
  }
  registerDSConvBackend(describe(name, pinned, creation));
}

function describe(name: string, pinned: CpuTier | undefined, creation: Creation): DSConvBackend {
  const tiers = (): Promise<TierStatus[]> => Promise.all((pinned ? [pinned] : TIERS).map(tierStatus));
  return {
    name,
    contractVersion: CONTRACT_VERSION,
    // Every case the operator lets through is served by every tier.
    supports: () => true,
    probe: () => creation.probe(),
    tiers,
    activeTier: () => creation.active,
    compilePlan: async (trace) => compileTrace((tfBackend() as DSConvCpuBackend).engine, trace),
    pinTier: (tier) => {
      if (!TIERS.includes(tier as CpuTier)) {
        throw new BackendUnavailableError(`tier is '${tier}'; expected one of ${TIERS.join(', ')}`);
      }
      const pinnedName = `${BACKEND_NAME}/${tier}`;
      registerCpuBackend(pinnedName, tier as CpuTier);
      return pinnedName;
    },
  };
}

/**
 * Creates the backend. TensorFlow.js prints a failing factory's error and forgets it, so the attempt is made while probing, silently, and a
 * backend that works is kept for the factory to hand over.
 */
class Creation {
  active: CpuTier | null = null;
  private prepared: DSConvCpuBackend | null = null;

  constructor(
    private readonly name: string,
    private readonly pinned: CpuTier | undefined,
  ) {}

  async probe(): Promise<Support> {
    if (this.prepared || this.active) return true;
    try {
      this.prepared = await createBestTier(this.name, this.pinned);
      return true;
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error) };
    }
  }

  async take(): Promise<DSConvCpuBackend> {
    const backend = this.prepared ?? (await createBestTier(this.name, this.pinned));
    this.prepared = null;
    this.active = backend.tier;
    return backend;
  }
}

/** The first tier that loads and passes the known-answer test; a pinned or forced tier has to be that one. */
async function createBestTier(name: string, pinned?: CpuTier): Promise<DSConvCpuBackend> {
  const wanted = pinned ?? forcedTier();
  const reasons: string[] = [];
  for (const tier of wanted ? [wanted] : TIERS) {
    try {
      const engine = await createEngine(tier);
      const backend = new DSConvCpuBackend(tier, engine);
      await proveItself(name, backend);
      return backend;
    } catch (error) {
      reasons.push(`${tier}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new BackendUnavailableError(`backend '${name}' cannot be created: ${reasons.join('; ')}`);
}

/** Gives helpers that start meanwhile back when the test fails. */
async function proveItself(name: string, backend: DSConvCpuBackend): Promise<void> {
  try {
    await runSelfTest(name, backend, (kernel) => getKernel(kernel, name).kernelFunc);
  } catch (error) {
    backend.dispose();
    throw error;
  }
}

async function createEngine(tier: CpuTier): Promise<Engine | null> {
  if (tier === 'js') return null;
  if (tier === 'native') return new NativeEngine(await loadNative(), await bytesToKeep());
  const { exports, helpers } = await instantiateTier(tier);
  // They start while other things go on; until they are there, kernels compute on this thread alone.
  if (helpers) addHelpers(tier, helpers);
  return new WasmEngine(new WasmHeap(exports, helpers));
}
