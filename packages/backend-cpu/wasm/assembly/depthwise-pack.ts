/**
 * Packing of depthwise DSConv filters. Weights per tap, padded to 32 channels with q = 0, unsigned q + 2^(storage-1):
 *   4 bits: 16 bytes; channel i in the low nibble of byte i, channel 16 + i in its high nibble
 *   2 bits:  8 bytes; channel 8p + i in bits 2p, 2p+1 of byte i
 *   8 bits: 32 bytes
 * Scales [out] (one per channel) or [taps][out]; shift bias [taps][out]; both f32.
 */
import {
  F_BITS, F_BYTES, F_OUT, F_PER_BLOCK, F_SCALES, F_SHIFT, F_STORAGE, F_TAPS, F_WEIGHTS, HEADER_BYTES, MAGIC_DW, storageBits,
} from './layout';

// @ts-ignore: decorator
@inline export function padded32(n: i32): i32 { return (n + 31) & ~31; }

/** Bytes of weights and header; scales and shift bias (the only f32 parts) come after, always room for both per tap. */
export function ds_depthwise_pack_bytes(bits: i32, taps: i32, outChannels: i32, perTap: i32): usize {
  if (bits < 2 || bits > 8 || taps < 0 || outChannels < 0) return 0;
  const weights = <u64>taps * (padded32(outChannels) >> 3) * storageBits(bits);
  const scales = <u64>(perTap ? 2 * taps : 1) * outChannels << 2;
  const bytes = (HEADER_BYTES + weights + scales + 31) & ~15;
  return bytes < 0xffff0000 ? <usize>bytes : 0;
}

export function ds_depthwise_pack(
  dst: usize, q: usize, scales: usize, shiftBias: usize, bits: i32, taps: i32, outChannels: i32, perTap: i32,
): i32 {
  if (!ds_depthwise_pack_bytes(bits, taps, outChannels, perTap) || (shiftBias && !perTap)) return 2;
  const storage = storageBits(bits), zero = 1 << (storage - 1);
  const perLine = padded32(outChannels);
  const at = HEADER_BYTES + <usize>taps * (perLine >> 3) * storage;
  const lines = perTap ? taps : 1, count = <usize>(lines * outChannels) << 2;
  store<u32>(dst, MAGIC_DW);
  store<u32>(dst, bits, F_BITS);
  store<u32>(dst, storage, F_STORAGE);
  store<u32>(dst, taps, F_TAPS);
  store<u32>(dst, outChannels, F_OUT);
  store<u32>(dst, perTap ? 1 : 0, F_PER_BLOCK);
  store<u32>(dst, <u32>HEADER_BYTES, F_WEIGHTS);
  store<u32>(dst, <u32>at, F_SCALES);
  store<u32>(dst, shiftBias ? <u32>(at + count) : 0, F_SHIFT);
  store<u32>(dst, <u32>ds_depthwise_pack_bytes(bits, taps, outChannels, perTap), F_BYTES);
  memory.copy(dst + at, scales, count);
  if (shiftBias) memory.copy(dst + at + count, shiftBias, count);
  memory.fill(dst + HEADER_BYTES, 0, at - HEADER_BYTES);
  let to = dst + HEADER_BYTES;
  for (let t = 0; t < taps; t++) {
    for (let c = 0; c < perLine; c += 32) {
      for (let i = 0; i < 32; i++) {
        const v = (c + i < outChannels ? <i32>load<i8>(q + <usize>t * outChannels + c + i) : 0) + zero;
        const byte = storage == 8 ? i : storage == 4 ? i & 15 : i & 7;
        const shift = storage == 8 ? 0 : storage == 4 ? (i >> 4) << 2 : (i >> 3) << 1;
        store<u8>(to + byte, <u8>(<i32>load<u8>(to + byte) | v << shift));
      }
      to += storage << 2;
    }
  }
  return 0;
}

// @ts-ignore: decorator
@inline function put(dst: usize, v: v128): void {
  const a = i16x8.extend_low_i8x16_s(v), b = i16x8.extend_high_i8x16_s(v);
  v128.store(dst, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(a)));
  v128.store(dst, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(a)), 16);
  v128.store(dst, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(b)), 32);
  v128.store(dst, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(b)), 48);
}

/** To floats [taps][padded32(out)] at dst: q, or with scales per tap q * scale + shift. */
export function unpackDepthwise(filter: usize, dst: usize): void {
  const storage = load<i32>(filter, F_STORAGE), taps = load<i32>(filter, F_TAPS), out = load<i32>(filter, F_OUT);
  const line = padded32(out), cells = taps * (line >> 5);
  let src = filter + load<usize>(filter, F_WEIGHTS), to = dst;
  const zero = i8x16.splat(<i8>(storage == 8 ? -128 : storage == 4 ? 8 : 2));
  for (let i = 0; i < cells; i++) {
    let a: v128, b: v128;
    if (storage == 8) {
      a = v128.load(src);
      b = v128.load(src, 16);
    } else if (storage == 4) {
      const p = v128.load(src), mask = i8x16.splat(15);
      a = v128.and(p, mask);
      b = v128.and(i16x8.shr_u(p, 4), mask);
    } else {
      const p = v128.load64_splat(src), mask = i8x16.splat(3);
      const v = v128.shuffle<i64>(p, i16x8.shr_u(p, 2), 0, 3);
      a = v128.and(v, mask);
      b = v128.and(i16x8.shr_u(v, 4), mask);
    }
    put(to, i8x16.sub(a, zero));
    put(to + 64, i8x16.sub(b, zero));
    src += storage << 2;
    to += 128;
  }
  if (!load<u32>(filter, F_PER_BLOCK)) return;
  const shift = load<u32>(filter, F_SHIFT) != 0;
  let s = filter + load<usize>(filter, F_SCALES), k = filter + load<usize>(filter, F_SHIFT);
  for (let t = 0; t < taps; t++) {
    to = dst + (<usize>t * line << 2);
    for (let o = 0; o < out; o++) {
      // In float64, so that a product and a shift that nearly cancel are rounded once.
      f32.store(to, <f32>(<f64>f32.load(to) * <f64>f32.load(s) + (shift ? <f64>f32.load(k) : 0)));
      to += 4;
      s += 4;
      k += 4;
    }
  }
}
