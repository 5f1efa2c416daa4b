import { InvalidFilterError } from './errors.js';

/** Bytes that `count` weights of `bits` bits occupy. */
export function packedByteLength(count: number, bits: number): number {
  return Math.ceil((count * bits) / 8);
}

/**
 * Packs integers into a little-endian bit stream: weight `n` occupies bits `n*bits … n*bits+bits-1` as two's complement, and
 * bit `k` of the stream is bit `k % 8` of byte `k >> 3`. Unused bits of the last byte are zero.
 *
 * @param values integers in `[-2^(bits-1), 2^(bits-1)-1]`
 * @throws InvalidFilterError when a value does not fit
 */
export function packBits(values: Int8Array, bits: number): Uint8Array {
  const out = new Uint8Array(packedByteLength(values.length, bits));
  const low = -(2 ** (bits - 1));
  const high = -low - 1;
  const mask = 2 ** bits - 1;
  let held = 0;
  let heldBits = 0;
  let at = 0;
  for (let n = 0; n < values.length; n++) {
    const value = values[n]!;
    if (value < low || value > high) {
      throw new InvalidFilterError(`weight ${n} is ${value}, but ${bits} bits hold only ${low} to ${high}`);
    }
    held |= (value & mask) << heldBits;
    heldBits += bits;
    while (heldBits >= 8) {
      out[at++] = held & 0xff;
      held >>>= 8;
      heldBits -= 8;
    }
  }
  if (heldBits > 0) out[at] = held & 0xff;
  return out;
}

/** Inverse of {@link packBits}. */
export function unpackBits(packed: Uint8Array, bits: number, count: number): Int8Array {
  if (packed.length !== packedByteLength(count, bits)) {
    throw new InvalidFilterError(
      `${packed.length} bytes of packed weights given, but ${count} weights of ${bits} bits take ${packedByteLength(count, bits)}`,
    );
  }
  const out = new Int8Array(count);
  if (bits === 8) out.set(new Int8Array(packed.buffer, packed.byteOffset, count));
  else if (bits === 4) unpackNibbles(packed, out);
  else if (bits === 2) unpackPairs(packed, out);
  else unpackStream(packed, bits, out);
  return out;
}

/** Loops of their own, because one for all widths is optimized for the first that comes and ten times slower with the next. */
function unpackNibbles(packed: Uint8Array, out: Int8Array): void {
  const whole = out.length >> 1;
  for (let at = 0, n = 0; at < whole; at++, n += 2) {
    const byte = packed[at]!;
    out[n] = (byte << 28) >> 28;
    out[n + 1] = (byte << 24) >> 28;
  }
  if (out.length % 2 === 1) out[out.length - 1] = (packed[whole]! << 28) >> 28;
}

function unpackPairs(packed: Uint8Array, out: Int8Array): void {
  const whole = out.length >> 2;
  for (let at = 0, n = 0; at < whole; at++, n += 4) {
    const byte = packed[at]!;
    out[n] = (byte << 30) >> 30;
    out[n + 1] = (byte << 28) >> 30;
    out[n + 2] = (byte << 26) >> 30;
    out[n + 3] = (byte << 24) >> 30;
  }
  for (let n = whole * 4; n < out.length; n++) out[n] = (packed[whole]! << (30 - 2 * (n % 4))) >> 30;
}

function unpackStream(packed: Uint8Array, bits: number, out: Int8Array): void {
  const mask = 2 ** bits - 1;
  const signShift = 32 - bits;
  let held = 0;
  let heldBits = 0;
  let at = 0;
  for (let n = 0; n < out.length; n++) {
    while (heldBits < bits) {
      held |= packed[at++]! << heldBits;
      heldBits += 8;
    }
    out[n] = ((held & mask) << signShift) >> signShift;
    held >>>= bits;
    heldBits -= bits;
  }
}
