// Packed filters. Weights keep their storage width (2, 4 or 8 bits) in memory.
//
// dsconv2d, blocked: [group][tile][tap][block][step][vector][64 bytes]. A 64-byte vector holds 16 channels (4 bytes each) by 4 depths, and 4, 2
// or 1 such sets in each byte for 2, 4 or 8 bits: set s covers the depths s*4 .. s*4+3 of the step and sits at bit s*storage. Values are
// unsigned, q + 2^(storage-1); depths beyond a block's end and channels beyond the group's end are 0. A tile has 2 vectors (32 channels), the
// last tile of a group 1 where 16 channels are enough. Scales and shifts: [group][tile][tap][block][16 * vectors] floats.
//
// dsconv2d, stem (depth below 16, scales per channel, no shift) and dsDepthwise: weights q + 2^(storage-1) as a bit stream in the order given
// (HWIO), 8 / storage to a byte; drivers unpack the few they need per call.
#pragma once

#include "image.h"
#include "kernels.h"

namespace dsconv {

struct FilterSource {
  int bits = 4;
  const int8_t* q = nullptr;
  int taps = 1, depth = 1, outputs = 1, groups = 1, block = 1;
  const float* scales = nullptr;
  bool per_channel = false;
  const float* shifts = nullptr;
};

struct Filter {
  enum Kind { kBlocked, kStem, kDepthwise, kFloat };
  Kind kind = kBlocked;
  int bits = 4, storage = 4, taps = 1, depth = 1, outputs = 1, groups = 1, block = 1;
  bool has_shifts = false;
  Buffer weights;         // kFloat: see gemm.h
  Buffer scales, shifts;  // kBlocked with scales per block, or with shifts
  Buffer channel_scales;  // [outputs] or empty; never beside shifts

  int group_outputs() const { return outputs / groups; }
  int blocks() const { return ceil_div(depth, block); }
  int tiles() const { return ceil_div(group_outputs(), kTileChannels); }
  // Vectors of tile t: 2, or 1 for a last tile of up to 16 channels.
  int vectors(int t) const { return group_outputs() - t * kTileChannels > kLaneChannels ? 2 : 1; }
  int group_vectors() const { return 2 * (tiles() - 1) + vectors(tiles() - 1); }
  int block_length(int j) const { return min_of(block, depth - j * block); }
  int steps(int j) const { return ceil_div(block_length(j), step_depth(storage)); }
  int tap_steps() const { return (blocks() - 1) * steps(0) + steps(blocks() - 1); }
  // Of one vector column: a tap's weights in bytes, a tap's scales in floats. A tile of v vectors has v times as much, interleaved.
  size_t tap_weights() const { return size_t(tap_steps()) * 64; }
  size_t tap_scales() const { return size_t(blocks()) * kLaneChannels; }
  // The image this filter reads with activations of m bits (kBlocked only).
  ImageSpec image_spec(int mantissa) const {
    ImageSpec spec;
    spec.channels = depth * groups;
    spec.groups = groups;
    spec.block = block;
    spec.mantissa = mantissa;
    spec.storage = storage;
    spec.sums = has_shifts;
    return spec;
  }
  // NUMERICS §4: B * 2^(b-1) * (2^(m-1) - 1) <= 2^24.
  bool is_exact(int mantissa) const {
    return int64_t{min_of(block, depth)} * (int64_t{1} << (bits - 1)) * ((1 << (mantissa - 1)) - 1) <= (int64_t{1} << 24);
  }
  // q of weight n of a bit stream.
  int stream_value(size_t n) const {
    const int per_byte = 8 / storage;
    return ((weights.data()[n / per_byte] >> (n % per_byte * storage)) & ((1 << storage) - 1)) - (1 << (storage - 1));
  }
  // The same for the values first .. first + count, as floats.
  void stream_floats(size_t first, size_t count, float* to) const;
  size_t bytes() const { return weights.bytes() + scales.bytes() + shifts.bytes() + channel_scales.bytes(); }
};

// Throw Failure where the parts do not fit. Lengths of the arrays are the caller's business.
std::shared_ptr<Filter> pack_dsconv2d(const FilterSource& source);
std::shared_ptr<Filter> pack_depthwise(const FilterSource& source);
std::shared_ptr<Filter> pack_float(const float* w, int taps, int depth, int outputs, int groups);

}  // namespace dsconv
