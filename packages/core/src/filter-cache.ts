/** One packing per filter, made at first use and kept as long as the filter lives. */
import type { DSConvFilter } from './filter.js';

/** Packings of one filter by the number of groups, on which the tiles depend. */
type Packings<P> = Map<number, P>;

export class FilterCache<P> {
  private readonly packings = new WeakMap<DSConvFilter, Packings<P>>();
  /** Frees packings of filters that were dropped without `dispose()`. */
  private readonly registry: FinalizationRegistry<Packings<P>>;

  /**
   * @param pack makes a packing
   * @param free gives its memory back
   */
  constructor(
    private readonly pack: (filter: DSConvFilter, groups: number) => P,
    private readonly free: (packing: P) => void,
  ) {
    this.registry = new FinalizationRegistry((packed) => this.release(packed));
  }

  /** The packed filter. A disposed one throws its typed error when its parts are asked for. */
  get(filter: DSConvFilter, groups: number): P {
    let packed = this.packings.get(filter);
    if (!packed || filter.isDisposed) {
      const created: Packings<P> = new Map([[groups, this.pack(filter, groups)]]);
      packed = created;
      this.packings.set(filter, created);
      this.registry.register(filter, created, created);
      filter.onDispose(() => {
        this.registry.unregister(created);
        this.release(created);
      });
    }
    let packing = packed.get(groups);
    if (packing === undefined) {
      packing = this.pack(filter, groups);
      packed.set(groups, packing);
    }
    return packing;
  }

  private release(packed: Packings<P>): void {
    for (const packing of packed.values()) this.free(packing);
    packed.clear();
  }
}

/** `cds * kds` `[taps, nb, O]`, or `cds` `[O]` where there is no kds. */
export function combinedScales(filter: DSConvFilter): Float32Array {
  const kds = filter.scales('kds');
  const cds = filter.scales('cds');
  if (!kds) return cds!;
  if (cds) for (let n = 0; n < kds.length; n++) kds[n] = kds[n]! * cds[n % cds.length]!;
  return kds;
}

/** `cds * kdsBias + cdsBias` `[taps, nb, O]`, or null where both are absent. */
export function combinedShiftBias(filter: DSConvFilter): Float32Array | null {
  const kdsBias = filter.scales('kdsBias');
  const cds = filter.scales('cds');
  const cdsBias = filter.scales('cdsBias');
  if (!kdsBias && !cdsBias) return null;
  const outputs = filter.outChannels;
  const out = new Float32Array(filter.shape[0] * filter.shape[1] * filter.blocks * outputs);
  for (let n = 0; n < out.length; n++) {
    const o = n % outputs;
    out[n] = (kdsBias ? (cds ? cds[o]! : 1) * kdsBias[n]! : 0) + (cdsBias ? cdsBias[o]! : 0);
  }
  return out;
}
