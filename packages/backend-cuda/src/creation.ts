/** Making a backend, and what became of it. */
import { BackendUnavailableError, runSelfTest, type Support, type TierStatus } from '@dsconv/core';
import { engine, getKernel, type KernelBackend, registerBackend, removeBackend } from '@tensorflow/tfjs-core';
import { CudaBackend } from './backend.js';
import { type CudaTier, TIERS } from './device/launch.js';
import { type DeviceChoice, openDevice, whyNoDevice } from './device/open.js';
import { testShared, testWgmma, tryTier, WGMMA } from './self-test.js';

/** Below the priority of every stock backend: importing this package changes no program; `setBackend` or `selectBackend` does. */
const PRIORITY = 0;

export class Creation {
  /** The backend that TensorFlow.js has, or will take. */
  private current: CudaBackend | null = null;
  /** Made while probing, for TensorFlow.js to take. */
  private prepared: CudaBackend | null = null;
  /** Why tiers did not pass, from the last attempt. */
  private readonly failures = new Map<CudaTier, string>();

  constructor(
    readonly name: string,
    private readonly pinned: CudaTier | undefined,
    /** Which device, and how much of its memory. */
    public choice: DeviceChoice,
  ) {}

  /** The tier in use, or null before the backend was created. */
  get tier(): CudaTier | null {
    return this.usable()?.tier ?? null;
  }

  /** The factory that TensorFlow.js calls. */
  async take(): Promise<KernelBackend> {
    const backend = this.prepared?.usable ? this.prepared : await this.make();
    this.prepared = null;
    this.current = backend;
    return backend;
  }

  /** Silently makes the backend, unless there is one. */
  async probe(): Promise<Support> {
    if (this.usable()) return true;
    const missing = await whyNoDevice(this.choice);
    if (missing !== null) return { reason: missing };
    try {
      if (this.current) this.forget();
      this.prepared = await this.make();
      return true;
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Registers the backend, anew where there is one: after a loss of its device, or for another one. Tensors on the old one are gone. */
  forget(): void {
    this.prepared?.dispose();
    this.prepared = null;
    this.current = null;
    if (engine().registryFactory[this.name]) removeBackend(this.name);
    registerBackend(this.name, () => this.take(), PRIORITY);
  }

  async tiers(): Promise<TierStatus[]> {
    const missing = await whyNoDevice(this.choice);
    return (this.pinned ? [this.pinned] : TIERS).map((tier) => {
      const reason = missing ?? this.failures.get(tier);
      if (reason) return { tier, available: false, reason };
      const backend = this.usable();
      const remarks = backend?.tier === tier ? [...backend.disabled.values()] : [];
      return { tier, available: true, reason: remarks.length > 0 ? remarks.join('; ') : undefined };
    });
  }

  private usable(): CudaBackend | null {
    const backend = this.prepared ?? this.current;
    return backend?.usable ? backend : null;
  }

  /** @throws BackendUnavailableError when there is no device, or none of its tiers computes what it must */
  private async make(): Promise<CudaBackend> {
    const missing = await whyNoDevice(this.choice);
    if (missing !== null) throw new BackendUnavailableError(missing);
    let backend = new CudaBackend(await openDevice(this.choice));
    try {
      await this.chooseTier(backend);
      await testWgmma(backend);
      if (!backend.usable) backend = await this.withoutWgmma(backend);
      await testShared(backend);
      await runSelfTest(this.name, backend, (kernel) => getKernel(kernel, this.name).kernelFunc);
    } catch (error) {
      backend.dispose();
      throw error;
    }
    return backend;
  }

  /** The same on the device opened anew, after it was lost to a kernel of wgmma. */
  private async withoutWgmma(lost: CudaBackend): Promise<CudaBackend> {
    lost.dispose();
    const backend = new CudaBackend(await openDevice(this.choice), lost.tier);
    backend.disabled.set(WGMMA, lost.disabled.get(WGMMA)!);
    return backend;
  }

  private async chooseTier(backend: CudaBackend): Promise<void> {
    this.failures.clear();
    for (const tier of this.pinned ? [this.pinned] : TIERS) {
      const failure = await tryTier(backend, tier);
      if (failure === null) return;
      this.failures.set(tier, failure);
    }
    const reasons = [...this.failures].map(([tier, why]) => `${tier}: ${why}`).join('; ');
    const { index, info } = backend.device;
    throw new BackendUnavailableError(
      `no kernels of backend '${this.name}' work on GPU ${index} (${info.name}): ${reasons}`,
    );
  }
}
