/** The launches of a plan as a graph of the driver, with the memory that they work in. */
import type { CudaBackend } from '../backend.js';
import type { Stream } from '../device/device.js';
import type { PlanBuilder } from './builder.js';
import type { Place } from './memory.js';

export class PlanGraph {
  /** The driver's. */
  readonly id: number;
  private readonly base: number;

  /** @throws OutOfMemoryError */
  constructor(
    private readonly backend: CudaBackend,
    builder: PlanBuilder,
  ) {
    this.base = backend.allocate(builder.memory.bytes);
    try {
      this.id = this.capture(builder);
    } catch (error) {
      backend.free(this.base);
      throw error;
    }
  }

  /** Where a place of the plan lies for this graph. */
  at(place: Place): number {
    return this.base + place.offset;
  }

  launch(stream: Stream): void {
    const { device } = this.backend;
    device.call(() => device.native.launchGraph(this.id, stream));
  }

  /** Waits for the device first. */
  free(): void {
    const { device } = this.backend;
    if (device.usable) device.call(() => device.native.destroyGraph(this.id));
    this.backend.free(this.base);
  }

  private capture(builder: PlanBuilder): number {
    const { device } = this.backend;
    const { native } = device;
    const stream = device.newStream();
    try {
      device.call(() => native.beginCapture(stream));
      try {
        builder.record(this.base, stream);
      } catch (error) {
        // The capture has to end all the same; what the driver says of that is not what went wrong.
        this.abandonCapture(stream);
        throw error;
      }
      return device.call(() => native.endCapture(stream));
    } finally {
      device.endStream(stream);
    }
  }

  private abandonCapture(stream: Stream): void {
    const { native } = this.backend.device;
    try {
      native.destroyGraph(native.endCapture(stream));
    } catch {
      // As expected.
    }
  }
}
