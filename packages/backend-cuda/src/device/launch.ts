/** What kernels are launched with: eager ones by the backend, those of a plan while it is recorded. */
import type { CudaDevice } from './device.js';

/** How the integer products are computed: on tensor cores, or by the plain kernels that stand beside every fast one. */
export const TIERS = ['mma', 'naive'] as const;
export type CudaTier = (typeof TIERS)[number];

/** One launch. */
export interface Launch {
  /** Name of a kernel in kernels/*.cu. */
  kernel: string;
  /** Blocks in each direction; absent ones are 1. A grid with a 0 in it launches nothing. */
  grid: readonly [x: number, y?: number, z?: number];
  /** Threads of a block. */
  threads: number;
  /** Dynamic shared memory of a block. Default 0. */
  sharedBytes?: number;
  /** The kernel's struct, packed by a function of device/params.ts. */
  params: Uint8Array;
}

/**
 * Puts work on a stream, in order. Functions that launch kernels on addresses take one, so that eager kernels and plans share them: `CudaBackend` is one,
 * for its main stream, and plans record themselves by another.
 */
export interface Launcher {
  readonly device: CudaDevice;
  readonly tier: CudaTier;
  /** @throws CudaError with the driver's name of the error where it refuses the launch */
  launch(launch: Launch): void;
  /**
   * Scratch of `bytes`, values not set, for what `use` launches. It is free for later launches afterwards, so its address must not be kept.
   */
  temporary<T>(bytes: number, use: (address: number) => T): T;
  /** Copies bytes on the device. */
  copy(to: number, from: number, bytes: number): void;
  /** Writes a 32-bit pattern `count` times, such as 0. */
  fill32(address: number, pattern: number, count: number): void;
}

/** The bits of a float32, for `fill32`. */
export function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

/** Blocks that are needed for one thread per element. */
export function blocksFor(count: number, threads: number): number {
  return Math.ceil(count / threads);
}
