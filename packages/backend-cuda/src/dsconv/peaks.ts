/** What a device can do at most, measured by kernels that do nothing else (peaks.cu). */
import type { CudaBackend } from '../backend.js';
import type { Launcher } from '../device/launch.js';
import { packPeaks } from '../device/params.js';

/** Rates per second. */
export interface Peaks {
  /** Products of int8 that are added up on tensor cores by warps, as dsconv2d uses them. */
  integerProducts: number;
  /** The same by groups of four warps (wgmma); absent where tiles of wgmma may not be chosen. */
  wgmmaProducts?: number;
  /** Multiply-adds of float32. */
  floatProducts: number;
  /** Bytes read plus bytes written, of memory that does not fit any cache. */
  bytes: number;
}

const THREADS = 256;
/** Dynamic shared memory of the kernel that multiplies by groups: 64 rows of 128 bytes, from a multiple of 1024 on. */
const WGMMA_SHARED = 64 * 128 + 1024;
/** Blocks of threads per multiprocessor: enough for every scheduler. */
const BLOCKS = 8;

/** One launch, and what it does. */
export interface PeakLaunch {
  what: keyof Peaks;
  /** Products or bytes. */
  amount: number;
  launch(): void;
}

/** The launches, with `turns` of each loop, on memory of two times `bytes`. */
export function peakLaunches(
  launcher: Launcher,
  memory: { from: number; to: number; bytes: number },
  turns: number,
): PeakLaunch[] {
  const blocks = BLOCKS * launcher.device.info.multiprocessors;
  const { from, to, bytes } = memory;
  const quads = Math.floor(bytes / 16);
  const make = (what: keyof Peaks, kernel: string, amount: number, sharedBytes = 0): PeakLaunch => ({
    what,
    amount,
    launch: () =>
      launcher.launch({
        kernel,
        grid: [blocks],
        threads: THREADS,
        sharedBytes,
        params: packPeaks({ from, to, quads, turns }),
      }),
  });
  const warps = (blocks * THREADS) / 32;
  const groups = warps / 4;
  return [
    make('integerProducts', 'peak_mma_s8', warps * turns * 8 * 16 * 8 * 32),
    ...(launcher.device.wgmma
      ? [make('wgmmaProducts', 'peak_wgmma_s8', groups * turns * 8 * 64 * 64 * 32, WGMMA_SHARED)]
      : []),
    make('floatProducts', 'peak_ffma', blocks * THREADS * turns * 4 * 8),
    make('bytes', 'peak_copy', 2 * 16 * quads),
  ];
}

/**
 * Measures a device: the best of `runs`, each timed by events.
 *
 * @param bytes of each of the two pieces of memory that are copied
 */
export async function measurePeaks(
  backend: CudaBackend,
  { bytes = 256 * 2 ** 20, turns = 4096, runs = 5 } = {},
): Promise<Peaks> {
  const from = backend.allocate(bytes);
  const to = backend.allocate(bytes);
  try {
    backend.fill32(from, 0, bytes / 4);
    const peaks: Peaks = { integerProducts: 0, floatProducts: 0, bytes: 0 };
    for (const { what, amount, launch } of peakLaunches(backend, { from, to, bytes }, turns)) {
      launch();
      for (let run = 0; run < runs; run++) {
        const { kernelMs } = await backend.time(launch);
        peaks[what] = Math.max(peaks[what] ?? 0, (1000 * amount) / (kernelMs as number));
      }
    }
    return peaks;
  } finally {
    backend.free(from);
    backend.free(to);
  }
}
