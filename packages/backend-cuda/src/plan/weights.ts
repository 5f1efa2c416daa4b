/** What a plan keeps on the device beside its activations. */
import type { CudaBackend } from '../backend.js';

export class PlanWeights {
  private readonly constants = new Map<Float32Array, number>();
  /** What gives up the packings that eager kernels and other plans use too. */
  private readonly holds: (() => void)[] = [];

  constructor(private readonly backend: CudaBackend) {}

  /** A constant such as a bias, uploaded once. */
  constant(values: Float32Array): number {
    let address = this.constants.get(values);
    if (address === undefined) {
      address = this.backend.uploaded(values);
      this.constants.set(values, address);
    }
    return address;
  }

  /** Keeps something until the plan is freed. */
  hold(release: () => void): void {
    this.holds.push(release);
  }

  free(): void {
    for (const address of this.constants.values()) this.backend.free(address);
    this.constants.clear();
    for (const release of this.holds.splice(0)) release();
  }
}
