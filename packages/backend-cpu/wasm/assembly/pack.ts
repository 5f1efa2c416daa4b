/**
 * Packing of DSConv filters: bit-packed panels of 8 output channels, as the unpackers in unpack.ts read them.
 *
 * Order: group, channel tile, tap, block, then per 4 depths one cell of 8 channels * 4 depths = 32 weights, value n = c * 4 + d
 * of the lower (channels 0-3) and upper (4-7) half:
 *   4 bits: 16 bytes; byte n = (lower[n] + 8) | (upper[n] + 8) << 4
 *   2 bits:  8 bytes; byte i = u0 | u1 << 2 | u2 << 4 | u3 << 6 with u = q + 2 of lower[i], lower[i+8], upper[i], upper[i+8]
 *   8 bits: 32 bytes; lower[n], then upper[n], two's complement
 * Blocks are padded to multiples of 4 depths and tiles to 8 channels with q = 0.
 * Scales: [group][tile][8] or (also wherever there is a shift bias) [group][tile][tap][block][8] f32; shift bias: the latter.
 */
import { ceilDiv, round4 } from './math';
import {
  F_BITS, F_BLOCK, F_BYTES, F_DEPTH, F_GROUPS, F_OUT, F_PER_BLOCK, F_SCALES, F_SHIFT, F_STORAGE, F_TAPS, F_WEIGHTS,
  HEADER_BYTES, MAGIC_DS, TILE_C, align16, blocksOf, paddedDepth, storageBits,
} from './layout';

/** Bytes beyond the last cell that unpackers may read. */
const SLACK: u64 = 16;

function sizes(dst: usize, bits: i32, taps: i32, depth: i32, out: i32, groups: i32, block: i32, perBlock: i32, shift: i32): u64 {
  const tiles = <u64>groups * ceilDiv(out / groups, TILE_C);
  const storage = storageBits(bits);
  let at: u64 = HEADER_BYTES;
  const weights = at;
  at = (at + tiles * taps * paddedDepth(depth, block) * storage + SLACK + 15) & ~15;
  const scales = at;
  const full = tiles * taps * blocksOf(depth, block) * (TILE_C << 2);
  at += perBlock ? full : tiles * (TILE_C << 2);
  const shifts = at;
  if (shift) at += full;
  if (dst) {
    store<u32>(dst, MAGIC_DS);
    store<u32>(dst, bits, F_BITS);
    store<u32>(dst, storage, F_STORAGE);
    store<u32>(dst, taps, F_TAPS);
    store<u32>(dst, depth, F_DEPTH);
    store<u32>(dst, out, F_OUT);
    store<u32>(dst, groups, F_GROUPS);
    store<u32>(dst, block, F_BLOCK);
    store<u32>(dst, perBlock, F_PER_BLOCK);
    store<u32>(dst, <u32>weights, F_WEIGHTS);
    store<u32>(dst, <u32>scales, F_SCALES);
    store<u32>(dst, shift ? <u32>shifts : 0, F_SHIFT);
    store<u32>(dst, <u32>at, F_BYTES);
  }
  return at;
}

function valid(bits: i32, taps: i32, depth: i32, out: i32, groups: i32, block: i32): bool {
  return bits >= 2 && bits <= 8 && taps >= 0 && depth >= 0 && out >= 0 && groups >= 1 && block >= 1 && out % groups == 0;
}

export function ds_pack_bytes(
  bits: i32, taps: i32, inDepth: i32, outChannels: i32, groups: i32, block: i32, scaleMode: i32, hasShiftBias: i32,
): usize {
  if (!valid(bits, taps, inDepth, outChannels, groups, block)) return 0;
  const n = sizes(0, bits, taps, inDepth, outChannels, groups, block, scaleMode | hasShiftBias, hasShiftBias);
  return n < 0xffff0000 ? <usize>n : 0;
}

/** q of depth i and channel o, 0 outside. */
// @ts-ignore: decorator
@inline function at(q: usize, i: i32, n: i32, o: i32, oEnd: i32, out: i32): i32 {
  return i < n && o < oEnd ? <i32>load<i8>(q + <usize>i * out + o) : 0;
}

function packCell(dst: usize, q: usize, i: i32, n: i32, o: i32, oEnd: i32, out: i32, storage: i32): void {
  for (let k = 0; k < 16; k++) {
    const lower = at(q, i + (k & 3), n, o + (k >> 2), oEnd, out);
    const upper = at(q, i + (k & 3), n, o + 4 + (k >> 2), oEnd, out);
    if (storage == 4) {
      store<u8>(dst + k, <u8>((lower + 8) | (upper + 8) << 4));
    } else if (storage == 8) {
      store<i8>(dst + k, <i8>lower);
      store<i8>(dst + k, <i8>upper, 16);
    } else {
      const byte = dst + (k & 7), plane = (k >> 3) << 1;
      const old = plane ? <i32>load<u8>(byte) : 0;
      store<u8>(byte, <u8>(old | (lower + 2) << plane | (upper + 2) << (plane + 4)));
    }
  }
}

export function ds_pack(
  dst: usize, q: usize, scales: usize, shiftBias: usize, bits: i32, taps: i32, inDepth: i32, outChannels: i32, groups: i32,
  block: i32, scaleMode: i32,
): i32 {
  if (!valid(bits, taps, inDepth, outChannels, groups, block)) return 2;
  // A scale per channel is applied once at the end, which would scale the shift bias too: with one, repeat it per block.
  const perBlock = scaleMode != 0 || shiftBias != 0;
  sizes(dst, bits, taps, inDepth, outChannels, groups, block, perBlock ? 1 : 0, shiftBias ? 1 : 0);
  const storage = load<i32>(dst, F_STORAGE), cell = <usize>(storage << 2);
  const per = outChannels / groups, nb = blocksOf(inDepth, block);
  let w = dst + load<usize>(dst, F_WEIGHTS);
  let s = dst + load<usize>(dst, F_SCALES);
  let b = shiftBias ? dst + load<usize>(dst, F_SHIFT) : 0;
  for (let g = 0; g < groups; g++) {
    const oEnd = (g + 1) * per;
    for (let o = g * per; o < oEnd; o += TILE_C) {
      if (!perBlock) s = packScales(s, scales, o, oEnd);
      for (let t = 0; t < taps; t++) {
        for (let j = 0; j < nb; j++) {
          const n = min(block, inDepth - j * block);
          const from = q + <usize>(t * inDepth + j * block) * outChannels;
          for (let i = 0; i < n; i += 4) {
            packCell(w, from, i, n, o, oEnd, outChannels, storage);
            w += cell;
          }
          const entry = <usize>(t * nb + j) * outChannels << 2;
          if (perBlock) s = packScales(s, scaleMode ? scales + entry : scales, o, oEnd);
          if (b) b = packScales(b, shiftBias + entry, o, oEnd);
        }
      }
    }
  }
  return 0;
}

/** 8 scales of channels o .. o+7 from a row of all channels, zeros beyond oEnd. */
export function packScales(dst: usize, row: usize, o: i32, oEnd: i32): usize {
  for (let c = 0; c < TILE_C; c++) {
    f32.store(dst + (c << 2), o + c < oEnd ? f32.load(row + (<usize>(o + c) << 2)) : 0);
  }
  return dst + (TILE_C << 2);
}
