#include "filter.h"

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
  for (size_t n = 0; n < count; n++) {
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

void pack_blocked(Filter* f, const int8_t* q) {
  const int per_group = f->group_outputs(), sets = 8 / f->storage, offset = 1 << (f->storage - 1);
  f->weights.allocate(size_t(f->groups) * f->group_vectors() * f->taps * f->tap_steps() * 64);
  f->weights.zero();
  uint8_t* at = f->weights.data();
  for (int g = 0; g < f->groups; g++) {
    for (int t = 0; t < f->tiles(); t++) {
      for (int tap = 0; tap < f->taps; tap++) {
        for (int j = 0; j < f->blocks(); j++) {
          const int length = f->block_length(j);
          for (int step = 0; step < f->steps(j); step++) {
            for (int v = 0; v < f->vectors(t); v++, at += 64) {
              for (int c = 0; c < kLaneChannels; c++) {
                const int o = t * kTileChannels + v * kLaneChannels + c;
                if (o >= per_group) break;
                for (int s = 0; s < sets; s++) {
                  for (int d = 0; d < 4; d++) {
                    const int i = step * step_depth(f->storage) + s * 4 + d;
                    if (i >= length) continue;
                    const size_t from = (size_t(tap) * f->depth + j * f->block + i) * f->outputs + g * per_group + o;
                    at[c * 4 + d] |= uint8_t((q[from] + offset) << (s * f->storage));
                  }
                }
              }
            }
          }
        }
      }
    }
  }
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
