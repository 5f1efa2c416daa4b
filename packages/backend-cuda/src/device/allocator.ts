/**
 * Memory of one device. Blocks that are freed are kept for the next ones of their size class, because the driver takes long and waits for the device.
 *
 * All work that uses these blocks runs on one stream, so that a block may be given out again at once: whoever gets it comes later on the stream. Who uses a
 * block on another stream waits for that stream before freeing.
 */
import { OutOfMemoryError } from '../errors.js';

/** The driver's part. */
export interface DeviceMemory {
  /** @throws Error with code OUT_OF_MEMORY when the device has not so much */
  malloc(bytes: number): number;
  /** Waits for all work of the device first. */
  free(address: number): void;
  memoryInfo(): { free: number; total: number };
  /** Whether an error of `malloc` means that there is not so much. */
  isOutOfMemory(error: unknown): boolean;
}

export interface AllocatorOptions {
  /** Bytes that blocks in use and kept ones may take together. Default: this share of what is free now. */
  limit?: number | undefined;
  /** Without it every block is of the exact size and goes back to the driver at once: slow, for tools that watch memory. Default true. */
  cache?: boolean | undefined;
}

/** Share of the free memory that is the default limit: the rest is the driver's, for code and stacks. */
const DEFAULT_SHARE = 0.9;

const SMALLEST = 512;

/** Bytes of the block that serves a request: eight classes to each doubling, so at most an eighth is lost, and never below 512. */
export function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST) return SMALLEST;
  const step = Math.max(SMALLEST, 2 ** (Math.floor(Math.log2(bytes - 1)) - 3));
  return Math.ceil(bytes / step) * step;
}

export class Allocator {
  readonly limit: number;
  private readonly caching: boolean;
  /** Sizes of the blocks in use, by address. */
  private readonly used = new Map<number, number>();
  /** How many hold a block beside the first, by address. */
  private readonly holders = new Map<number, number>();
  /** Addresses of kept blocks, by size. */
  private readonly kept = new Map<number, number[]>();
  private usedBytes = 0;
  private keptBytes = 0;
  private disposed = false;

  constructor(
    private readonly memory: DeviceMemory,
    { limit, cache = true }: AllocatorOptions = {},
  ) {
    this.limit = limit ?? Math.floor(memory.memoryInfo().free * DEFAULT_SHARE);
    this.caching = cache;
  }

  /** Bytes in use, with what was lost to size classes. */
  get inUse(): number {
    return this.usedBytes;
  }

  get cached(): number {
    return this.keptBytes;
  }

  /** Number of blocks in use. */
  get blocks(): number {
    return this.used.size;
  }

  /**
   * An address with room for `bytes`, a multiple of 256; 0 for none. The values are not set.
   *
   * @throws OutOfMemoryError when neither kept blocks nor the driver have it, or the limit forbids it
   */
  allocate(bytes: number): number {
    if (bytes === 0) return 0;
    const size = this.caching ? sizeClass(bytes) : bytes;
    const address = this.takeKept(size) ?? this.takeNew(size, bytes);
    this.used.set(address, size);
    this.usedBytes += size;
    return address;
  }

  /** One more holder of a block: it is free only after as many calls of `free`. */
  retain(address: number): void {
    if (address === 0 || this.disposed) return;
    if (!this.used.has(address)) throw new RangeError(`address ${address} is retained, but not in use`);
    this.holders.set(address, (this.holders.get(address) ?? 0) + 1);
  }

  /** Gives a block back. After `abandon` there is nothing to give back, and the call does nothing. */
  free(address: number): void {
    if (address === 0 || this.disposed) return;
    const size = this.used.get(address);
    if (size === undefined) throw new RangeError(`address ${address} is freed, but not in use`);
    const others = this.holders.get(address) ?? 0;
    if (others > 0) {
      if (others === 1) this.holders.delete(address);
      else this.holders.set(address, others - 1);
      return;
    }
    this.used.delete(address);
    this.usedBytes -= size;
    if (!this.caching) {
      this.memory.free(address);
      return;
    }
    const blocks = this.kept.get(size);
    if (blocks) blocks.push(address);
    else this.kept.set(size, [address]);
    this.keptBytes += size;
  }

  /** Gives kept blocks back to the driver, the largest first, until at least `wanted` bytes are; without it all. */
  trim(wanted = Number.POSITIVE_INFINITY): void {
    if (this.keptBytes === 0) return;
    let given = 0;
    for (const size of [...this.kept.keys()].sort((a, b) => b - a)) {
      const blocks = this.kept.get(size)!;
      while (blocks.length > 0 && given < wanted) {
        this.memory.free(blocks.pop()!);
        this.keptBytes -= size;
        given += size;
      }
      if (blocks.length === 0) this.kept.delete(size);
    }
  }

  /** Forgets everything without a word to the driver, whose context is closed or lost, and the memory with it. Later calls of `free` do nothing. */
  abandon(): void {
    this.disposed = true;
    this.used.clear();
    this.holders.clear();
    this.usedBytes = 0;
    this.kept.clear();
    this.keptBytes = 0;
  }

  private takeKept(size: number): number | undefined {
    const blocks = this.kept.get(size);
    const address = blocks?.pop();
    if (address === undefined) return undefined;
    if (blocks!.length === 0) this.kept.delete(size);
    this.keptBytes -= size;
    return address;
  }

  private takeNew(size: number, requested: number): number {
    const excess = this.usedBytes + this.keptBytes + size - this.limit;
    if (excess > this.keptBytes) throw this.outOfMemory(requested);
    if (excess > 0) this.trim(excess);
    const address = this.tryNew(size);
    if (address !== null) return address;
    // Others may use the device too: what is kept here may be what is missing.
    this.trim();
    const second = this.tryNew(size);
    if (second === null) throw this.outOfMemory(requested);
    return second;
  }

  private tryNew(size: number): number | null {
    try {
      return this.memory.malloc(size);
    } catch (error) {
      if (this.memory.isOutOfMemory(error)) return null;
      throw error;
    }
  }

  private outOfMemory(requested: number): OutOfMemoryError {
    const { inUse, cached, limit } = this;
    const { free } = this.memory.memoryInfo();
    const sizes = { requested, inUse, cached, limit, free };
    return new OutOfMemoryError(
      `${requested} bytes are requested on the GPU; ${inUse} are in use and ${cached} kept of the ${limit} that are allowed, and the device has ${free} free`,
      sizes,
    );
  }
}
