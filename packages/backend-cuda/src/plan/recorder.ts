/**
 * Launchers of a plan. Its launches are made twice: once to see what scratch each needs, so that it gets a place in the plan's memory, and once for each graph
 * on a stream that captures them.
 */
import { DSConvError } from '@dsconv/core';
import type { CudaDevice, Stream } from '../device/device.js';
import type { CudaTier, Launch, Launcher } from '../device/launch.js';
import type { Place, PlanMemory } from './memory.js';

/** Does nothing but note scratch. */
export class Rehearsal implements Launcher {
  /** In the order in which it was asked for. */
  readonly scratch: { place: Place; bytes: number }[] = [];

  constructor(
    readonly device: CudaDevice,
    readonly tier: CudaTier,
    private readonly memory: PlanMemory,
  ) {}

  launch(): void {}

  copy(): void {}

  fill32(): void {}

  temporary<T>(bytes: number, use: (address: number) => T): T {
    const place = this.memory.place(bytes);
    this.scratch.push({ place, bytes });
    return use(this.memory.at(place));
  }
}

/** Puts the launches on a stream, with scratch from the plan's memory. */
export class Recorder implements Launcher {
  readonly device: CudaDevice;
  readonly tier: CudaTier;
  private next = 0;

  constructor(
    private readonly rehearsal: Rehearsal,
    private readonly memory: PlanMemory,
    private readonly stream: Stream,
  ) {
    this.device = rehearsal.device;
    this.tier = rehearsal.tier;
  }

  launch(launch: Launch): void {
    this.device.launch(launch, this.stream);
  }

  copy(to: number, from: number, bytes: number): void {
    if (bytes === 0) return;
    this.device.call(() => this.device.native.copy(to, from, bytes, this.stream));
  }

  fill32(address: number, pattern: number, count: number): void {
    if (count === 0) return;
    this.device.call(() => this.device.native.fill32(address, pattern, count, this.stream));
  }

  temporary<T>(bytes: number, use: (address: number) => T): T {
    const scratch = this.rehearsal.scratch[this.next++];
    if (scratch?.bytes !== bytes) {
      throw new DSConvError(
        'INTERNAL',
        `scratch of ${bytes} bytes is asked for while a plan is recorded; expected ${scratch?.bytes} as before`,
      );
    }
    return use(this.memory.at(scratch.place));
  }
}
