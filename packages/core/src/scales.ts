/** Stored scales: the float16 or float32 numbers beside the packed integers of a filter. */
import { InvalidFilterError } from './errors.js';
import { fromFloat16Bits, roundToFloat16, toFloat16Bits } from './float16.js';

export type ScaleFormat = 'float16' | 'float32';

/** Numbers as they are stored; float16 as the raw 16 bits. */
export type StoredScales =
  | { readonly format: 'float16'; readonly data: Uint16Array }
  | { readonly format: 'float32'; readonly data: Float32Array };

/** Largest relative error at which a number may still be stored as float16 (NUMERICS §2). */
const FLOAT16_TOLERANCE = 2 ** -10;

/** True when float16 neither overflows nor loses more than 2^-10 of any value. */
export function fitsFloat16(values: Float32Array): boolean {
  for (const value of values) {
    const stored = fromFloat16Bits(toFloat16Bits(value));
    if (!(Math.abs(stored - value) <= Math.abs(value) * FLOAT16_TOLERANCE)) return false;
  }
  return true;
}

/** The nearest float16, or the float32 where that would break the tolerance, so that {@link fitsFloat16} sees it. */
export function roundToFloat16IfClose(value: number): number {
  const rounded = roundToFloat16(value);
  return Math.abs(rounded - value) <= Math.abs(value) * FLOAT16_TOLERANCE ? rounded : Math.fround(value);
}

/** Stores values in the wanted format, or in float32 where float16 would not do. */
export function storeScales(values: Float32Array, wanted: ScaleFormat): StoredScales {
  if (wanted === 'float32' || !fitsFloat16(values)) {
    return { format: 'float32', data: values.slice() };
  }
  return { format: 'float16', data: Uint16Array.from(values, toFloat16Bits) };
}

/** Stores values that must not change: in float16 if that loses nothing at all, else in float32. */
export function storeExactly(values: Float32Array): StoredScales {
  return values.every((value) => roundToFloat16(value) === value)
    ? { format: 'float16', data: Uint16Array.from(values, toFloat16Bits) }
    : { format: 'float32', data: values.slice() };
}

/** The stored values widened to float32, in a new array. */
export function widenScales(scales: StoredScales): Float32Array {
  if (scales.format === 'float32') return scales.data.slice();
  const { data } = scales;
  const out = new Float32Array(data.length);
  // A loop, because `from` with a function is twenty times slower, and a dense layer has millions of scales.
  for (let n = 0; n < data.length; n++) out[n] = fromFloat16Bits(data[n]!);
  return out;
}

export function checkScales(scales: StoredScales, length: number, name: string): void {
  const { format, data } = scales;
  const fits =
    (format === 'float16' && data instanceof Uint16Array) ||
    (format === 'float32' && data instanceof Float32Array);
  if (!fits) {
    throw new InvalidFilterError(
      `${name} has format ${String(format)} and data ${data?.constructor?.name}; expected float16 in a Uint16Array or float32 in a Float32Array`,
    );
  }
  if (data.length !== length) {
    throw new InvalidFilterError(`${name} has ${data.length} values; expected ${length}`);
  }
  for (let i = 0; i < length; i++) {
    const value = format === 'float16' ? fromFloat16Bits(data[i]!) : data[i]!;
    if (!Number.isFinite(value)) {
      throw new InvalidFilterError(`${name}[${i}] is ${value}; expected a finite number`);
    }
  }
}
