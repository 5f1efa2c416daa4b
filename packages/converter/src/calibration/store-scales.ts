import { fromFloat16Bits, type ScaleFormat, type StoredScales, toFloat16Bits } from '@dsconv/core';

/** Largest error, relative to the output channel's largest scale, at which scales may still be stored as float16 (NUMERICS §2). */
const TOLERANCE = 2 ** -10;

/**
 * Stores fitted scales `[blocks, outputs]` in the wanted format; in float32 where float16 would overflow or lose too much. A fit may leave one
 * block of a filter a scale near zero: what counts there is the size of its neighbours.
 */
export function storeFittedScales(values: Float32Array, outputs: number, wanted: ScaleFormat): StoredScales {
  if (wanted === 'float16') {
    const data = Uint16Array.from(values, toFloat16Bits);
    const largest = new Float32Array(outputs);
    values.forEach((value, n) => {
      largest[n % outputs] = Math.max(largest[n % outputs]!, Math.abs(value));
    });
    const fits = values.every(
      (value, n) => Math.abs(fromFloat16Bits(data[n]!) - value) <= largest[n % outputs]! * TOLERANCE,
    );
    if (fits) return { format: 'float16', data };
  }
  return { format: 'float32', data: values.slice() };
}
