// Plain C++ forms of every kernel, static so that each file that includes them has copies built with its own flags. They are the portable set, and other
// sets use those for which they have nothing faster.
#pragma once

#include <cmath>

#include "kernels.h"

namespace dsconv {
namespace {

inline float activate_scalar(float v, int activation, float slope) {
  switch (activation) {
    case kRelu: return v <= 0 ? 0 : v;
    case kRelu6: return v <= 0 ? 0 : v > 6 ? 6 : v;
    case kSilu: return v == -INFINITY ? 0 : v / (1 + std::exp(-v));
    case kLeakyRelu:
    case kPrelu: return v < 0 ? slope * v : v;
    case kSigmoid: return 1 / (1 + std::exp(-v));
    case kTanh: return std::tanh(v);
    case kExp: return std::exp(v);
    default: return v;
  }
}

// Half to even for |v| < 2^22, in float arithmetic.
inline int round_scalar(float v) { return int(int32_t(bits_of(v + 12582912.0f)) - 0x4B400000); }

template <int Storage>
void dsconv2d_tile_scalar(const TileArgs& a) {
  constexpr int sets = 8 / Storage, depth = 4 * sets, mask = (1 << Storage) - 1;
  for (int first = 0; first < a.vectors; first += 2) {
    const int vectors = min_of(2, a.vectors - first), width = vectors * kLaneChannels;
    for (int r = 0; r < a.count; r++) {
      float* out = a.out + r * a.ldo + first * kLaneChannels;
      for (int c = 0; c < width; c++) out[c] = 0;
      for (int t = 0; t < a.tap_count; t++) {
        const TapRows& tap = a.taps[t];
        const BlockRecord* record = tap.record[r];
        const uint8_t* w = a.weights + first * a.vector_weights + tap.tap * a.tap_weights * vectors;
        const size_t base = first * a.vector_scales + tap.tap * a.tap_scales * vectors;
        for (int j = 0; j < a.blocks; j++) {
          int32_t sums[2 * kLaneChannels];
          const int32_t start = a.plain ? record[j].start : int32_t(uint32_t(record[j].start) - record[j].magic);
          for (int c = 0; c < width; c++) sums[c] = start;
          const int8_t* x = tap.x[r] + j * a.block;
          for (int step = 0; step < (j == a.blocks - 1 ? a.last_steps : a.steps); step++, x += depth) {
            for (int c = 0; c < width; c++, w += 4) {
              for (int s = 0; s < sets; s++) {
                for (int d = 0; d < 4; d++) sums[c] += ((w[d] >> (s * Storage)) & mask) * x[s * 4 + d];
              }
            }
          }
          const float scale = scale_of(record[j], a.plain);
          for (int c = 0; c < width; c++) {
            // The filter's scale first: P times a huge activation scale alone could overflow.
            const float term = a.scales ? float(sums[c]) * a.scales[base + j * width + c] : float(sums[c]);
            out[c] += term * scale;
          }
          if (a.shifts) {
            const float total = a.sums[record + j - a.records];
            for (int c = 0; c < width; c++) out[c] += total * a.shifts[base + j * width + c];
          }
        }
      }
    }
  }
}

inline void epilogue_scalar(const EpilogueArgs& e) {
  for (int r = 0; r < e.rows; r++) {
    float* row = e.tile + r * e.ld;
    for (int c = 0; c < e.channels; c++) {
      float v = row[c];
      if (e.scale) v *= e.scale[c];
      if (e.bias) v += e.bias[c];
      if (e.has_residual) v += e.residual[r][c];
      row[c] = activate_scalar(v, e.activation, e.activation == kPrelu ? e.alphas[c] : e.alpha);
    }
  }
}

inline bool quantize_scalar(const QuantizeArgs& q) {
  bool huge = false;
  const int limit = (1 << (q.mantissa - 1)) - 1;
  for (int r = 0; r < q.rows; r++) {
    const float* x = q.source + r * q.ld;
    uint32_t largest = 0;
    for (int i = 0; i < q.length; i++) largest = max_of(largest, bits_of(x[i]) & 0x7FFFFFFFu);
    const uint32_t biased = largest >> 23;
    int32_t sum = 0;
    if (biased < kMinBiased || biased == 255) {
      for (int i = 0; i < q.length; i++) q.mantissas[r][i] = 0;
    } else {
      const float inverse = float_of(((254 + q.mantissa - 2) << 23) - (biased << 23));
      for (int i = 0; i < q.length; i++) {
        const int m = min_of(max_of(round_scalar(x[i] * inverse), -limit), limit);
        q.mantissas[r][i] = int8_t(m);
        sum += m;
      }
    }
    const BlockRecord record = record_of(largest, sum, q.mantissa, q.storage, q.plain, &huge);
    *q.records[r] = record;
    if (q.sums[r]) *q.sums[r] = scale_of(record, q.plain) * float(sum);
  }
  return huge;
}

inline void decode_scalar(const DecodeArgs& d) {
  for (int c = 0; c < d.length; c++) d.out[c] = float(d.mantissas[c]) * scale_of(d.records[c / d.block], d.plain);
}

}  // namespace
}  // namespace dsconv
