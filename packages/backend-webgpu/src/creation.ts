/** Making a backend, and what became of it. */
import {
  BackendUnavailableError,
  DS_DEPTHWISE_CONV2D,
  type DSConvSpec,
  runSelfTest,
  type Support,
  type TierStatus,
} from '@dsconv/core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { engine, getKernel, type KernelBackend, registerBackend, removeBackend } from '@tensorflow/tfjs-core';
import { preferredTiers, whyNotTier, whyNoWebGPU } from './adapter.js';
import { fitsLimits } from './gpu/limits.js';
import { GpuState } from './gpu/state.js';
import { type GpuTier, TIERS } from './gpu/variants.js';
import { testCommon, tryTier } from './self-test.js';
import { hasState, keepState } from './states.js';

/** Makes a TensorFlow.js backend. */
export type Factory = () => KernelBackend | Promise<KernelBackend>;

export class Creation {
  state: GpuState | null = null;
  /** Why the backend of this name cannot run DSConv, or null. */
  reason: string | null = null;
  /** Made while probing, for TensorFlow.js to take. */
  private prepared: KernelBackend | null = null;
  private readonly failures = new Map<GpuTier, string>();

  /**
   * @param name of the TensorFlow.js backend
   * @param factory null where TensorFlow.js registered none
   */
  constructor(
    readonly name: string,
    private readonly factory: Factory | null,
    private readonly priority: number,
    private readonly pinned?: GpuTier,
  ) {}

  /** The factory that TensorFlow.js calls. */
  async take(): Promise<KernelBackend> {
    const backend = this.prepared ?? (await this.make());
    this.prepared = null;
    return backend;
  }

  /** Silently makes the backend, unless there is one, and says whether DSConv runs on it. */
  async probe(): Promise<Support> {
    const missing = (await whyNoWebGPU()) ?? this.whyNoFactory();
    if (missing) return { reason: missing };
    if (this.state?.lost) this.forget();
    const existing = engine().registry[this.name] ?? this.prepared;
    try {
      // One that was made before this package was imported has not been tested.
      if (!existing) this.prepared = await this.make();
      else if (!hasState(existing as WebGPUBackend)) await this.adopt(existing);
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error) };
    }
    return this.reason === null ? true : { reason: this.reason };
  }

  /** Lets TensorFlow.js make the backend anew, as after a loss of the device. Tensors on the old one are gone. */
  forget(factory: Factory = () => this.take()): void {
    this.prepared = null;
    this.state = null;
    if (engine().registryFactory[this.name]) removeBackend(this.name);
    registerBackend(this.name, factory as () => Promise<KernelBackend>, this.priority);
  }

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

  supports(spec: DSConvSpec): Support {
    const { geometry, bits, blockSize, kernel, activationBits } = spec;
    if (!this.state) return this.reason === null ? true : { reason: this.reason };
    const depthwise = kernel === DS_DEPTHWISE_CONV2D;
    return fitsLimits(this.state.device.limits, { geometry, bits, blockSize, depthwise, activationBits });
  }

  async tiers(): Promise<TierStatus[]> {
    const missing = (await whyNoWebGPU()) ?? this.whyNoFactory();
    return (this.pinned ? [this.pinned] : TIERS).map((tier) => {
      const reason = missing ?? whyNotTier(tier) ?? this.failures.get(tier);
      if (reason) return { tier, available: false, reason };
      const remarks = this.state?.tier === tier ? [...this.state.disabled.values()] : [];
      return { tier, available: true, reason: remarks.length > 0 ? remarks.join('; ') : undefined };
    });
  }

  private async make(): Promise<KernelBackend> {
    const backend = await this.factory!();
    await this.adopt(backend);
    // A pinned backend exists for nothing else.
    if (this.pinned && this.reason !== null) throw new BackendUnavailableError(this.reason);
    return backend;
  }

  private whyNoFactory(): string | null {
    if (this.factory) return null;
    return "TensorFlow.js has no backend 'webgpu'; expected navigator.gpu when @tensorflow/tfjs-backend-webgpu is imported";
  }

  private async choose(state: GpuState): Promise<void> {
    this.failures.clear();
    for (const tier of this.pinned ? [this.pinned] : preferredTiers(state.device)) {
      const failure = whyNotTier(tier) ?? (await tryTier(state, tier));
      if (failure === null) return;
      this.failures.set(tier, failure);
    }
    const reasons = [...this.failures].map(([tier, why]) => `${tier}: ${why}`).join('; ');
    throw new BackendUnavailableError(
      `no shader of backend '${this.name}' works on this adapter: ${reasons}`,
    );
  }
}
