/** One packing per filter, made at first use and kept as long as the filter lives. */
import type { DSConvFilter } from '@dsconv/core';
import type { WasmHeap } from './wasm-heap.js';
import type { Ptr } from './wasm-interface.js';
import { SCALE } from './wasm-interface.js';

export class FilterCache {
  private readonly pointers = new WeakMap<DSConvFilter, Map<number, Ptr>>();
  /** Frees packings of filters that were dropped without `dispose()`. */
  private readonly registry: FinalizationRegistry<Map<number, Ptr>>;

  constructor(private readonly heap: WasmHeap) {
    this.registry = new FinalizationRegistry((packed) => this.release(packed));
  }

  /**
   * Address of the packed filter.
   *
   * @param groups groups of the convolution; the tiles of the packing depend on it (1 for depthwise)
   */
  get(filter: DSConvFilter, groups: number): Ptr {
    let packed = this.pointers.get(filter);
    if (!packed || filter.isDisposed) {
      // A disposed filter throws its typed error when its parts are asked for.
      const created = new Map<number, Ptr>([[groups, this.pack(filter, groups)]]);
      packed = created;
      this.pointers.set(filter, created);
      this.registry.register(filter, created, created);
      filter.onDispose(() => {
        this.registry.unregister(created);
        this.release(created);
      });
    }
    let ptr = packed.get(groups);
    if (ptr === undefined) {
      ptr = this.pack(filter, groups);
      packed.set(groups, ptr);
    }
    return ptr;
  }

  private release(packed: Map<number, Ptr>): void {
    for (const ptr of packed.values()) this.heap.free(ptr);
    packed.clear();
  }

  private pack(filter: DSConvFilter, groups: number): Ptr {
    return filter.kind === 'depthwise' ? this.packDepthwise(filter) : this.packConv2d(filter, groups);
  }

  private packConv2d(filter: DSConvFilter, groups: number): Ptr {
    const { exports } = this.heap;
    const { bits, blockSize, shape } = filter;
    const [kh, kw, depth, outputs] = shape;
    const taps = kh * kw;
    const scales = combinedScales(filter);
    const shiftBias = combinedShiftBias(filter);
    // Without kds a bias per channel still needs the layout per block.
    const mode = filter.stored('kds') ? SCALE.perBlock : SCALE.perChannel;
    const bytes = exports.ds_pack_bytes(
      bits,
      taps,
      depth,
      outputs,
      groups,
      blockSize,
      mode,
      shiftBias ? 1 : 0,
    );
    return this.fill(bytes, [filter.unpack(), scales, shiftBias], (dst, q, s, b) =>
      exports.ds_pack(dst, q, s, b, bits, taps, depth, outputs, groups, blockSize, mode),
    );
  }

  private packDepthwise(filter: DSConvFilter): Ptr {
    const { exports } = this.heap;
    const taps = filter.shape[0] * filter.shape[1];
    const outputs = filter.outChannels;
    const bytes = exports.ds_depthwise_pack_bytes(filter.bits, taps, outputs, 0);
    return this.fill(bytes, [filter.unpack(), filter.scales('cds')], (dst, q, s) =>
      exports.ds_depthwise_pack(dst, q, s, 0, filter.bits, taps, outputs, 0),
    );
  }

  private fill(
    bytes: number,
    arrays: Parameters<WasmHeap['withCopies']>[0],
    pack: (dst: Ptr, ...ptrs: Ptr[]) => 0 | 1 | 2,
  ): Ptr {
    const dst = this.heap.alloc(bytes >>> 0);
    try {
      this.heap.withCopies(arrays, (...ptrs) => this.heap.check(pack(dst, ...ptrs), 'packing a filter'));
    } catch (error) {
      this.heap.free(dst);
      throw error;
    }
    return dst;
  }
}

/** `cds * kds` `[taps, nb, O]`, or `cds` `[O]` where there is no kds. */
function combinedScales(filter: DSConvFilter): Float32Array {
  const kds = filter.scales('kds');
  const cds = filter.scales('cds');
  if (!kds) return cds!;
  if (cds) for (let n = 0; n < kds.length; n++) kds[n] = kds[n]! * cds[n % cds.length]!;
  return kds;
}

/** `cds * kdsBias + cdsBias` `[taps, nb, O]`, or null where both are absent. */
function combinedShiftBias(filter: DSConvFilter): Float32Array | null {
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
