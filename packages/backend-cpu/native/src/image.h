// BFP images: an activation tensor as int8 mantissas, made once for all convolutions of one key.
//
// Mantissas: [pixel][channels] without any padding between pixels beyond `stride` (channels rounded up to 4). Blocks are not padded either:
// packed weights are zero (unsigned) beyond the end of a block, so that a kernel may read on into the next block, the next row or the slack.
//
// Block records: [pixel][groups * blocks] of {start, magic}, 8 bytes, so that one cache line serves a row for 8 blocks.
//   magic   the float 1.5 * 2^(23+e), where 2^e is the block's scale. An accumulator that starts at the bits of `magic` and has integers
//           added to it *is* the float magic + P * 2^e as long as |P| < 2^22; taking magic away again gives P * 2^e exactly. So neither a
//           conversion nor a multiplication by the activation's scale is needed.
//   start   bits(magic) - 2^(storage-1) * ΣM: weights are stored unsigned (q + 2^(storage-1)), and this repays the offset.
// A zero block has e = 0 and M = 0. A block with NaN or infinity has magic = NaN, so every sum that reads it is NaN.
// `plain` images are for blocks whose P may leave 2^22 (8-bit weights, more than 258 depths) or with e > 104 (magic would overflow): there
// the record is {start = -2^(storage-1) * ΣM, scale = 2^e} and kernels convert and multiply.
#pragma once

#include <atomic>

#include "common.h"

namespace dsconv {

struct BlockRecord {
  int32_t start;
  uint32_t magic;  // bits of a float
};

constexpr uint32_t kMagicBits = 0x4B400000u;  // 1.5 * 2^23
constexpr uint32_t kNaNBits = 0x7FC00000u;
// Smallest biased exponent of a block that is not zero: E >= -100.
constexpr uint32_t kMinBiased = 27;
// Largest e whose magic is finite.
constexpr int kMaxMagicExponent = 104;

struct ImageSpec {
  int32_t channels = 0, groups = 1, block = 1, mantissa = 8, storage = 4;
  bool sums = false;

  int32_t depth() const { return channels / groups; }
  int32_t blocks_per_group() const { return ceil_div(depth(), block); }
  int32_t entries() const { return groups * blocks_per_group(); }
  size_t stride() const { return round_up<size_t>(channels, 4); }
  // Whether P can leave the range of the magic form.
  bool always_plain() const {
    const int64_t largest = int64_t{min_of(block, depth())} * (int64_t{1} << (storage - 1)) * ((1 << (mantissa - 1)) - 1);
    return largest >= (1 << 22);
  }
  bool operator==(const ImageSpec& o) const {
    return channels == o.channels && groups == o.groups && block == o.block && mantissa == o.mantissa && storage == o.storage &&
           sums == o.sums;
  }
  // Bytes of an image of `pixels` rows: one zero row behind the last, then records, then sums.
  size_t rows_bytes(int64_t pixels) const { return round_up<size_t>((pixels + 1) * stride() + kSlack, 64); }
  size_t records_bytes(int64_t pixels) const { return round_up<size_t>((pixels + 1) * entries() * sizeof(BlockRecord), 64); }
  size_t sums_bytes(int64_t pixels) const { return sums ? round_up<size_t>((pixels + 1) * entries() * sizeof(float), 64) : 0; }
  size_t bytes(int64_t pixels) const { return rows_bytes(pixels) + records_bytes(pixels) + sums_bytes(pixels); }
};

// A view of an image in someone's memory.
struct Image {
  ImageSpec spec;
  int64_t pixels = 0;
  int8_t* rows = nullptr;
  BlockRecord* records = nullptr;
  float* sums = nullptr;         // scale * ΣM per block, only where spec.sums
  bool plain = false;            // form of the records
  std::atomic<bool>* huge = nullptr;  // set by a writer that met e > kMaxMagicExponent

  static Image at(uint8_t* memory, const ImageSpec& spec, int64_t pixels, std::atomic<bool>* huge) {
    Image image;
    image.spec = spec;
    image.pixels = pixels;
    image.rows = reinterpret_cast<int8_t*>(memory);
    image.records = reinterpret_cast<BlockRecord*>(memory + spec.rows_bytes(pixels));
    if (spec.sums) image.sums = reinterpret_cast<float*>(memory + spec.rows_bytes(pixels) + spec.records_bytes(pixels));
    image.plain = spec.always_plain();
    image.huge = huge;
    return image;
  }
  // Clears the zero row and the flag. Called once before writers start.
  void begin() {
    plain = spec.always_plain();
    huge->store(false, std::memory_order_relaxed);
    const int entries = spec.entries();
    std::memset(rows + pixels * spec.stride(), 0, spec.stride() + kSlack);
    for (int n = 0; n < entries; n++) records[pixels * entries + n] = plain ? BlockRecord{0, 0} : BlockRecord{int32_t(kMagicBits), kMagicBits};
    if (sums) std::memset(sums + pixels * entries, 0, sizeof(float) * entries);
  }
  // Called once before readers start: an image with huge blocks is rewritten in the plain form. Readers afterwards see `plain`.
  void settle() {
    if (plain || !huge->load(std::memory_order_relaxed)) return;
    const int64_t count = (pixels + 1) * spec.entries();
    for (int64_t n = 0; n < count; n++) {
      BlockRecord& r = records[n];
      if ((r.magic & 0x7F800000u) == 0x7F800000u) {
        // NaN, or the exponent of a huge block as the payload of a NaN; `start` was written in the plain form already.
        const uint32_t payload = r.magic & 0xFF;
        r.magic = payload ? (payload + 127) << 23 : kNaNBits;
      } else {
        r.start = int32_t(uint32_t(r.start) - r.magic);
        r.magic = ((r.magic >> 23) - 23) << 23;
      }
    }
    plain = true;
  }
};

// Scale of a block from its record.
static inline float scale_of(const BlockRecord& r, bool plain) {
  if (plain) return float_of(r.magic);
  if ((r.magic & 0x7F800000u) == 0x7F800000u) {
    const uint32_t payload = r.magic & 0xFF;
    return payload ? float_of((payload + 127) << 23) : float_of(kNaNBits);
  }
  return float_of(((r.magic >> 23) - 23) << 23);
}

// Record of one block: E from the bits of its largest magnitude, ΣM. Every quantizer ends here or in a vector form of the same.
// Sets *huge where the magic form cannot hold the exponent.
static inline BlockRecord record_of(uint32_t largest, int32_t sum, int mantissa, int storage, bool plain, bool* huge) {
  const uint32_t biased = largest >> 23;
  const int32_t repay = int32_t(uint32_t(-sum) << (storage - 1));
  if (biased == 255) return {0, kNaNBits};
  if (biased < kMinBiased) return plain ? BlockRecord{0, 0} : BlockRecord{int32_t(kMagicBits), kMagicBits};
  const int e = int(biased) - 127 - (mantissa - 2);
  if (plain) return {repay, uint32_t(e + 127) << 23};
  if (e > kMaxMagicExponent) {
    *huge = true;
    return {repay, kNaNBits | uint32_t(e)};
  }
  const uint32_t magic = (uint32_t(e + 23 + 127) << 23) | 0x400000u;
  return {int32_t(magic + uint32_t(repay)), magic};
}

}  // namespace dsconv
