/** Conversion between float32 and IEEE 754 binary16, the storage format of scales. */

const float32 = new Float32Array(1);
const bits32 = new Uint32Array(float32.buffer);

/**
 * Rounds a number to binary16, ties to even, and returns its 16 bits. Overflow gives infinity; NaN stays NaN.
 * The value is first rounded to float32, which is what scales are computed in.
 */
export function toFloat16Bits(value: number): number {
  float32[0] = value;
  const bits = bits32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200);
  const e = exponent - 127 + 15;
  if (e >= 31) return sign | 0x7c00;
  // Significand with the hidden bit; `shift` bits of it fall away, more of them the deeper the value is subnormal.
  const significand = exponent === 0 ? fraction : fraction | 0x800000;
  const shift = e >= 1 ? 13 : 14 - e;
  if (shift > 24) return sign;
  const half = 1 << (shift - 1);
  const rest = significand & ((1 << shift) - 1);
  let result = significand >>> shift;
  if (rest > half || (rest === half && (result & 1) === 1)) result++;
  // For normal numbers the hidden bit adds one to the exponent field; a carry out of the fraction does the same,
  // up to infinity, which is the correct rounding.
  return sign | (e >= 1 ? result + ((e - 1) << 10) : result);
}

/** Widens the 16 bits of a binary16 number; exact. */
export function fromFloat16Bits(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return (bits & 0x8000 ? -1 : 1) * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? (bits & 0x8000 ? -Infinity : Infinity) : NaN;
  // As a float32, whose exponent is biased by 127 instead of 15.
  bits32[0] = ((bits & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13);
  return float32[0]!;
}

/** Nearest binary16 value of a number, as a number. */
export function roundToFloat16(value: number): number {
  return fromFloat16Bits(toFloat16Bits(value));
}
