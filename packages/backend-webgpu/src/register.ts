/** Registration with TensorFlow.js and with core. */
import {
  BackendUnavailableError,
  CONTRACT_VERSION,
  DS_DEPTHWISE_CONV2D,
  type DSConvBackend,
  type DSConvSpec,
  registerDSConvBackend,
  runSelfTest,
  type Support,
  type TierStatus,
} from '@dsconv/core';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import {
  copyRegisteredKernels,
  engine,
  findBackendFactory,
  getKernel,
  type KernelBackend,
  registerBackend,
  registerKernel,
  backend as tfBackend,
} from '@tensorflow/tfjs-core';
import { fitsLimits } from './gpu/limits.js';
import { GpuState } from './gpu/state.js';
import { DOT_FEATURE, type GpuTier, TIERS } from './gpu/variants.js';
import { dsconvKernels } from './kernels/dsconv.js';
import { compileTrace } from './plan/gpu-plan.js';
import { testCommon, tryTier } from './self-test.js';
import { hasState, keepState, stateOf } from './states.js';

/** The TensorFlow.js backend whose kernels this package adds. */
export const BACKEND_NAME = 'webgpu';

/** Adds the kernels to the stock backend and describes it to core. Without WebGPU the backend is described as unavailable. */
export function registerWebGPUBackend(): void {
  for (const kernel of dsconvKernels) registerKernel({ ...kernel, backendName: BACKEND_NAME });
  const creation = new Creation(BACKEND_NAME);
  const registered = engine().registryFactory[BACKEND_NAME];
  if (registered) {
    const { factory } = registered;
    registered.factory = async () => {
      const backend = await factory();
      await creation.adopt(backend);
      return backend;
    };
  }
  registerDSConvBackend(describe(BACKEND_NAME, creation));
}

/** Registers a backend with a device of its own that is pinned to one tier, and returns its name. */
function pinTier(tier: string): string {
  if (!TIERS.includes(tier as GpuTier)) {
    throw new BackendUnavailableError(`tier is '${tier}'; expected one of ${TIERS.join(', ')}`);
  }
  const name = `${BACKEND_NAME}/${tier}`;
  if (findBackendFactory(name)) return name;
  const creation = new Creation(name, tier as GpuTier);
  registerBackend(
    name,
    async () => {
      const { device, adapterInfo } = await requestDevice();
      const backend = new WebGPUBackend(device, adapterInfo);
      await creation.adopt(backend);
      if (creation.reason !== null) throw new BackendUnavailableError(creation.reason);
      return backend;
    },
    0,
  );
  copyRegisteredKernels(BACKEND_NAME, name);
  registerDSConvBackend(describe(name, creation));
  return name;
}

function describe(name: string, creation: Creation): DSConvBackend {
  return {
    name,
    contractVersion: CONTRACT_VERSION,
    supports: (spec) => creation.supports(spec),
    probe: () => creation.probe(),
    tiers: () => creation.tiers(),
    activeTier: () => creation.state?.tier ?? null,
    pinTier,
    compilePlan: (trace, options) => compileTrace(stateOf(tfBackend() as WebGPUBackend), trace, options),
  };
}

/** What became of the attempt to use the kernels on a backend. */
class Creation {
  state: GpuState | null = null;
  /** Why the backend of this name cannot run DSConv, or null. */
  reason: string | null = null;
  private readonly failures = new Map<GpuTier, string>();

  constructor(
    private readonly name: string,
    private readonly pinned?: GpuTier,
  ) {}

  /** Tests the shaders on a backend that was just made. Never throws: a failure is a reason, and the stock kernels go on working. */
  async adopt(created: KernelBackend): Promise<void> {
    const backend = created as WebGPUBackend;
    const state = new GpuState(backend);
    this.reason = null;
    this.state = null;
    keepState(state);
    try {
      await this.choose(state);
      await testCommon(state);
      await runSelfTest(this.name, backend, (kernel) => getKernel(kernel, this.name)!.kernelFunc);
      this.state = state;
    } catch (error) {
      this.reason = error instanceof Error ? error.message : String(error);
    }
  }

  private async choose(state: GpuState): Promise<void> {
    this.failures.clear();
    for (const tier of this.pinned ? [this.pinned] : preferred(state.device)) {
      const failure = unavailable(tier) ?? (await tryTier(state, tier));
      if (failure === null) return;
      this.failures.set(tier, failure);
    }
    const reasons = [...this.failures].map(([tier, why]) => `${tier}: ${why}`).join('; ');
    throw new BackendUnavailableError(
      `no shader of backend '${this.name}' works on this adapter: ${reasons}`,
    );
  }

  async probe(): Promise<Support> {
    const missing = await missingWebGPU();
    if (missing) return { reason: missing };
    const existing = engine().registry[this.name];
    // A backend that was made before this package was imported.
    if (existing && !hasState(existing as WebGPUBackend)) await this.adopt(existing);
    return this.reason === null ? true : { reason: this.reason };
  }

  supports(spec: DSConvSpec): Support {
    const { geometry, bits, blockSize, kernel, activationBits } = spec;
    if (!this.state) return this.reason === null ? true : { reason: this.reason };
    const depthwise = kernel === DS_DEPTHWISE_CONV2D;
    return fitsLimits(this.state.device.limits, { geometry, bits, blockSize, depthwise, activationBits });
  }

  async tiers(): Promise<TierStatus[]> {
    const missing = await missingWebGPU();
    return (this.pinned ? [this.pinned] : TIERS).map((tier) => {
      const reason = missing ?? unavailable(tier) ?? this.failures.get(tier);
      if (reason) return { tier, available: false, reason };
      const remarks = this.state?.tier === tier ? [...this.state.disabled.values()] : [];
      return { tier, available: true, reason: remarks.length > 0 ? remarks.join('; ') : undefined };
    });
  }
}

/** Order in which tiers are tried. Adapters that run on the CPU have no workgroup memory worth the name. */
function preferred(device: GPUDevice): GpuTier[] {
  const tiers: GpuTier[] = ['tile-dot', 'tile', 'direct-dot', 'direct'];
  return isSoftware(device) ? ['direct-dot', 'direct', 'tile-dot', 'tile'] : tiers;
}

function isSoftware({ adapterInfo }: GPUDevice): boolean {
  return (
    adapterInfo?.isFallbackAdapter === true || /swiftshader|llvmpipe/i.test(adapterInfo?.architecture ?? '')
  );
}

/** Why a tier cannot be tried here, or null. */
function unavailable(tier: GpuTier): string | null {
  if (!tier.endsWith('-dot') || navigator.gpu.wgslLanguageFeatures.has(DOT_FEATURE)) return null;
  return `WGSL has no ${DOT_FEATURE} here`;
}

async function missingWebGPU(): Promise<string | null> {
  if (typeof navigator === 'undefined' || !navigator.gpu) return 'there is no WebGPU here (navigator.gpu)';
  if (!engine().registryFactory[BACKEND_NAME]) {
    return "TensorFlow.js has no backend 'webgpu'; expected navigator.gpu when @tensorflow/tfjs-backend-webgpu is imported";
  }
  return (await navigator.gpu.requestAdapter()) ? null : 'the browser offers no GPU adapter';
}

async function requestDevice(): Promise<{ device: GPUDevice; adapterInfo: GPUAdapterInfo }> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new BackendUnavailableError('the browser offers no GPU adapter');
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has('timestamp-query') ? ['timestamp-query'] : [],
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    },
  });
  return { device, adapterInfo: adapter.info };
}
