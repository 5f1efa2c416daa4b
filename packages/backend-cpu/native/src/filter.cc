#include "filter.h"

#include "thread_pool.h"

namespace dsconv {
namespace {

void copy_floats(Buffer* to, const float* from, size_t count) {
  to->allocate(count * sizeof(float));
  std::memcpy(to->data(), from, count * sizeof(float));
}

std::shared_ptr<Filter> begin(const FilterSource& s, Filter::Kind kind) {
  if (s.bits < 2 || s.bits > 8) fail_range("bits is " + std::to_string(s.bits) + "; expected 2 to 8");
  if (s.taps < 1 || s.depth < 1 || s.outputs < 1 || s.groups < 1 || s.block < 1 || s.outputs % s.groups != 0) {
    fail_range("the filter's sizes must be positive and outChannels a multiple of groups");
  }
  if (int64_t{s.taps} * s.depth * s.outputs > (int64_t{1} << 31) || s.taps > 65535 || int64_t{s.depth} * s.groups > (1 << 24)) {
    fail_range("a filter of " + std::to_string(s.taps) + " taps by " + std::to_string(s.depth) + " by " + std::to_string(s.outputs) + " is too large");
  }
  auto f = std::make_shared<Filter>();
  f->kind = kind;
  f->bits = s.bits;
  f->storage = storage_of(s.bits);
  f->taps = s.taps;
  f->depth = s.depth;
  f->outputs = s.outputs;
  f->groups = s.groups;
  f->block = min_of(s.block, max_of(s.depth, 1));
  const int low = -(1 << (s.bits - 1)), high = -low - 1;
  const size_t count = size_t(s.taps) * s.depth * s.outputs;
  int smallest = 0, largest = 0;
  for (size_t n = 0; n < count; n++) {
    smallest = min_of<int>(smallest, s.q[n]);
    largest = max_of<int>(largest, s.q[n]);
  }
  for (size_t n = 0; n < count && (smallest < low || largest > high); n++) {
    if (s.q[n] < low || s.q[n] > high) {
      fail_range("weight " + std::to_string(n) + " is " + std::to_string(s.q[n]) + ", but " + std::to_string(s.bits) + " bits hold only " +
                 std::to_string(low) + " to " + std::to_string(high));
    }
  }
  // The epilogue would multiply a shift by the channel's scale as well, so beside shifts the scale goes to every block instead.
  if (s.per_channel && !s.shifts) copy_floats(&f->channel_scales, s.scales, s.outputs);
  return f;
}

void pack_stream(Filter* f, const int8_t* q) {
  const size_t count = size_t(f->taps) * f->depth * f->outputs;
  const int per_byte = 8 / f->storage;
  f->weights.allocate(ceil_div<size_t>(count, per_byte));
  f->weights.zero();
  for (size_t n = 0; n < count; n++) {
    f->weights.data()[n / per_byte] |= uint8_t((q[n] + (1 << (f->storage - 1))) << (n % per_byte * f->storage));
  }
}

// Scales or shifts [taps][blocks][outputs], or scales [outputs] of every tap and block, to tile order.
void pack_scales(const Filter& f, Buffer* to, const float* from, bool per_channel) {
  const int blocks = f.blocks(), per_group = f.group_outputs();
  to->allocate(size_t(f.groups) * f.group_vectors() * f.taps * blocks * kLaneChannels * sizeof(float));
  to->zero();
  float* at = to->as<float>();
  for (int g = 0; g < f.groups; g++) {
    for (int t = 0; t < f.tiles(); t++) {
      const int width = f.vectors(t) * kLaneChannels;
      for (int tap = 0; tap < f.taps; tap++) {
        for (int j = 0; j < blocks; j++, at += width) {
          for (int c = 0; c < width && t * kTileChannels + c < per_group; c++) {
            at[c] = from[(per_channel ? 0 : (size_t(tap) * blocks + j) * f.outputs) + g * per_group + t * kTileChannels + c];
          }
        }
      }
    }
  }
}

// One tile of one group. The channels of a tile lie side by side in `q`, and in words of 4 bytes in the tile, so whole rows are read and the words
// of a step put together in registers: VGG's first dense layer has 100 million weights.
void pack_tile(const Filter& f, const int8_t* q, int g, int t, uint8_t* at) {
  const int width = min_of(kTileChannels, f.group_outputs() - t * kTileChannels), offset = 1 << (f.storage - 1);
  const int8_t* const column = q + size_t(g) * f.group_outputs() + size_t(t) * kTileChannels;
  const size_t bytes = size_t(f.vectors(t)) * 64;
  for (int tap = 0; tap < f.taps; tap++) {
    for (int j = 0; j < f.blocks(); j++) {
      const int length = f.block_length(j);
      for (int step = 0; step < f.steps(j); step++, at += bytes) {
        uint32_t words[kTileChannels] = {};
        const int first = step * step_depth(f.storage), end = min_of(length, first + step_depth(f.storage));
        for (int i = first; i < end; i++) {
          const int8_t* const row = column + (size_t(tap) * f.depth + size_t(j) * f.block + i) * f.outputs;
          const int shift = (i - first) % 4 * 8 + (i - first) / 4 * f.storage;
          for (int o = 0; o < width; o++) words[o] |= uint32_t(row[o] + offset) << shift;
        }
        std::memcpy(at, words, bytes);
      }
    }
  }
}

void pack_blocked(Filter* f, const int8_t* q) {
  const int tiles = f->tiles();
  const size_t vector = size_t(f->taps) * f->tap_steps() * 64;
  f->weights.allocate(size_t(f->groups) * f->group_vectors() * vector);
  // Tiles of fewer weights are not worth another thread.
  constexpr int64_t kGrainWeights = 1 << 18;
  const int64_t grain = ceil_div(kGrainWeights, int64_t{f->taps} * f->depth * kTileChannels);
  parallel_for(int64_t{f->groups} * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) {
      const int g = int(n / tiles), t = int(n % tiles);
      pack_tile(*f, q, g, t, f->weights.data() + (size_t(g) * f->group_vectors() + size_t(t) * 2) * vector);
    }
  });
}

}  // namespace

std::shared_ptr<Filter> pack_dsconv2d(const FilterSource& s) {
  const bool stem = s.depth < 16 && s.per_channel && !s.shifts;
  auto f = begin(s, stem ? Filter::kStem : Filter::kBlocked);
  if (stem) {
    pack_stream(f.get(), s.q);
    return f;
  }
  pack_blocked(f.get(), s.q);
  if (!s.per_channel || s.shifts) pack_scales(*f, &f->scales, s.scales, s.per_channel);
  if (s.shifts) {
    pack_scales(*f, &f->shifts, s.shifts, false);
    f->has_shifts = true;
  }
  return f;
}

std::shared_ptr<Filter> pack_depthwise(const FilterSource& s) {
  if (!s.per_channel || s.shifts || s.depth != 1 || s.groups != 1) fail_unsupported("a depthwise filter has one scale per channel and no shift");
  auto f = begin(s, Filter::kDepthwise);
  pack_stream(f.get(), s.q);
  return f;
}

void Filter::stream_floats(size_t first, size_t count, float* to) const {
  const uint8_t* const from = weights.data();
  if (storage == 8) {
    for (size_t n = 0; n < count; n++) to[n] = float(int(from[first + n]) - 128);
    return;
  }
  const size_t per_byte = 8 / storage;
  const int mask = (1 << storage) - 1, zero = 1 << (storage - 1);
  size_t n = 0;
  for (; n < count && (first + n) % per_byte; n++) to[n] = float(stream_value(first + n));
  for (; n + per_byte <= count; n += per_byte) {
    const int byte = from[(first + n) / per_byte];
    for (size_t k = 0; k < per_byte; k++) to[n + k] = float(((byte >> (k * storage)) & mask) - zero);
  }
  for (; n < count; n++) to[n] = float(stream_value(first + n));
}

}  // namespace dsconv
