/** Buffers for values of a plan: those that never live at the same time share one. */
import { type Lifetime, layOutArena } from '@dsconv/core';
import { OutOfMemoryError } from '../errors.js';
import type { Slice } from '../gpu/buffers.js';
import { mostBytes } from '../gpu/limits.js';

/** A value in one format, needed between two dispatches. Its buffer exists after `allocate`. */
export interface Place extends Lifetime {
  slot: number;
}

export class Memory {
  readonly places: Place[] = [];
  private slots: number[] = [];
  private buffers: GPUBuffer[] = [];

  /** A place that is needed now; who needs it later moves `last`. */
  place(bytes: number, now: number): Place {
    const place = { bytes: Math.max(16, bytes), first: now, last: now, slot: -1 };
    this.places.push(place);
    return place;
  }

  /** Bytes of all buffers. */
  get bytes(): number {
    return this.slots.reduce((sum, size) => sum + size, 0);
  }

  /** Bytes of the places that are needed at the same time, at most. */
  get liveBytes(): number {
    return layOutArena(this.places).liveBytes;
  }

  /**
   * Gives every place a slot: the free one that fits best, or the largest, which grows.
   *
   * @throws OutOfMemoryError when a value does not fit a buffer of the device
   */
  allocate(device: GPUDevice): void {
    const most = mostBytes(device.limits);
    const busyUntil: number[] = [];
    for (const place of [...this.places].sort((a, b) => a.first - b.first)) {
      if (place.bytes > most) {
        throw new OutOfMemoryError(
          `a value of the plan takes ${place.bytes} bytes; expected at most ${most} on this device`,
        );
      }
      const free = busyUntil.flatMap((last, slot) => (last < place.first ? [slot] : []));
      const fitting = free.filter((slot) => this.slots[slot]! >= place.bytes);
      const by = (slots: number[], sign: number): number | undefined =>
        slots.sort((a, b) => sign * (this.slots[a]! - this.slots[b]!))[0];
      const slot = by(fitting, 1) ?? by(free, -1) ?? this.slots.length;
      this.slots[slot] = Math.max(this.slots[slot] ?? 0, place.bytes);
      busyUntil[slot] = place.last;
      place.slot = slot;
    }
    this.buffers = this.slots.map((size) =>
      device.createBuffer({
        label: 'dsconv plan',
        size: Math.ceil(size / 16) * 16,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      }),
    );
  }

  slice(place: Place): Slice {
    return { buffer: this.buffers[place.slot]!, offset: 0, size: Math.ceil(place.bytes / 4) * 4 };
  }

  free(): void {
    for (const buffer of this.buffers) buffer.destroy();
    this.buffers = [];
  }
}
