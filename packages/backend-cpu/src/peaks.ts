import { UnsupportedError } from '@dsconv/core';
import { loadNative } from './native/load.js';

/** What one core can do at most with the instruction set that the native tier uses. */
export interface Peaks {
  /** 'avx512vnni', 'avxvnni', 'avx2', 'neon' or 'portable'. */
  isa: string;
  /** int8 dot products, 10^9 multiply-accumulates per second. */
  int8Dot: number;
  /** float32 multiply-adds, 10^9 multiply-accumulates per second. */
  floatFma: number;
}

/**
 * Measures the limits of one core now, on registers alone, as what kernels can be compared with. Blocks for about 50 ms.
 *
 * @throws UnsupportedError with the reason when the native tier is not available
 */
export async function measurePeaks(): Promise<Peaks> {
  try {
    return (await loadNative()).measurePeaks();
  } catch (error) {
    throw new UnsupportedError(`only the native tier measures peaks: ${(error as Error).message}`);
  }
}
