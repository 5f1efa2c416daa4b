/** Where the values of a plan lie: in one piece of memory, those that never live at the same time over each other. */
import { type Arena, type Lifetime, layOutArena } from '@dsconv/core';

/** Every place begins at a multiple of this, as what the driver gives does, so that kernels may count on it. */
const ALIGNMENT = 256;

/** A value in one format, needed from one step of the plan to another. */
export interface Place extends Lifetime {
  offset: number;
}

export class PlanMemory {
  /** Where the memory lies whose addresses `at` gives. */
  base = ALIGNMENT;
  /** The step that runs, while lifetimes are being noted. */
  now = -1;
  private readonly places: Place[] = [];
  private arena: Arena | null = null;

  place(bytes: number): Place {
    const rounded = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    const place = {
      bytes: rounded,
      first: Number.POSITIVE_INFINITY,
      last: Number.NEGATIVE_INFINITY,
      offset: 0,
    };
    this.places.push(place);
    return place;
  }

  /** The address of a place. Until `layOut` it is made up, and the call notes that the step of now needs the place. */
  at(place: Place): number {
    if (this.arena === null) this.need(place, this.now);
    return this.base + place.offset;
  }

  /** Notes that a step needs a place. */
  need(place: Place, step: number): void {
    place.first = Math.min(place.first, step);
    place.last = Math.max(place.last, step);
  }

  /** Gives every place its offset. */
  layOut(): void {
    this.arena = layOutArena(this.places);
    this.arena.offsets.forEach((offset, n) => {
      this.places[n]!.offset = offset;
    });
  }

  /** Bytes of the whole. */
  get bytes(): number {
    return this.arena!.bytes;
  }

  /** Bytes of the places that are needed at the same time, at most. */
  get liveBytes(): number {
    return this.arena!.liveBytes;
  }
}
