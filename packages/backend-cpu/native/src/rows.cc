#include "rows.h"

namespace dsconv {

// Pixels [begin, begin + count) of input row `id` as floats [count][in_c].
void RowRing::round(int64_t id, int begin, int count, float* to) {
  const Kernels& k = kernels();
  const Window& w = *s_.w;
  const int64_t first = id * w.in_w + begin;
  if (s_.image) {
    const ImageSpec& spec = s_.image->spec;
    for (int p = 0; p < count; p++) {
      const int8_t* m = s_.image->rows + (first + p) * int64_t(spec.stride());
      const BlockRecord* r = s_.image->records + (first + p) * int64_t(spec.entries());
      for (int g = 0; g < spec.groups; g++) {
        const int c = g * spec.depth();
        k.decode({m + c, r + g * spec.blocks_per_group(), spec.depth(), spec.block, s_.image->plain, to + size_t(p) * w.in_c + c});
      }
    }
    return;
  }
  const float* x = s_.x + first * w.in_c;
  if (!s_.mantissa) {
    std::memcpy(to, x, size_t(count) * w.in_c * sizeof(float));
    return;
  }
  const int depth = w.in_c / s_.groups, block = min_of(s_.block, depth);
  if (block <= 4) {
    // Tiny blocks: in place, no tables of rows.
    for (int p = 0; p < count; p++) {
      for (int g = 0; g < s_.groups; g++) {
        for (int c = 0; c < depth; c += block) {
          const int n = min_of(block, depth - c);
          const float* from = x + size_t(p) * w.in_c + g * depth + c;
          float* out = to + size_t(p) * w.in_c + g * depth + c;
          uint32_t largest = 0;
          for (int i = 0; i < n; i++) largest = max_of(largest, bits_of(from[i]) & 0x7FFFFFFFu);
          const uint32_t biased = largest >> 23;
          if (biased == 255 || biased < kMinBiased) {
            for (int i = 0; i < n; i++) out[i] = biased == 255 ? float_of(kNaNBits) : 0.0f;
            continue;
          }
          const float inverse = float_of(((254 + s_.mantissa - 2) << 23) - (biased << 23)), scale = float_of((biased - (s_.mantissa - 2)) << 23);
          const float limit = float((1 << (s_.mantissa - 1)) - 1);
          for (int i = 0; i < n; i++) {
            volatile float shifted = from[i] * inverse + 12582912.0f;  // rounds half to even; volatile: must not be folded away
            const float m = shifted - 12582912.0f;
            out[i] = (m > limit ? limit : m < -limit ? -limit : m) * scale;
          }
        }
      }
    }
    return;
  }
  int8_t mantissas[kTileRows][256];
  int8_t* wide = block > 256 ? static_cast<int8_t*>(thread_scratch(3, size_t(kTileRows) * round_up(block, 64))) : nullptr;
  BlockRecord records[kTileRows];
  QuantizeArgs q;
  q.ld = w.in_c;
  q.mantissa = s_.mantissa;
  q.storage = 4;
  q.plain = true;
  for (int r = 0; r < kTileRows; r++) {
    q.mantissas[r] = wide ? wide + r * round_up(block, 64) : mantissas[r];
    q.records[r] = &records[r];
    q.sums[r] = nullptr;
  }
  for (int p = 0; p < count; p += kTileRows) {
    q.rows = min_of(kTileRows, count - p);
    for (int g = 0; g < s_.groups; g++) {
      for (int c = 0; c < depth; c += block) {
        const size_t at = size_t(p) * w.in_c + g * depth + c;
        q.source = x + at;
        q.length = min_of(block, depth - c);
        k.quantize(q);
        for (int r = 0; r < q.rows; r++) k.decode({q.mantissas[r], q.records[r], q.length, q.length, true, to + at + size_t(r) * w.in_c});
      }
    }
  }
}

void RowRing::fill(uint8_t* at, int64_t id) {
  const Window& w = *s_.w;
  const int begin = max_of(0, -w.pad_left), end = min_of(w.in_w, width_ - w.pad_left);
  std::memset(at, 0, row_ * size_);
  if (end <= begin) return;
  const int count = end - begin;
  uint8_t* to = at + size_t(begin + w.pad_left) * s_.padded * size_;
  const Kernels& k = kernels();
  if (s_.bf16 && k.round_rgb && s_.x && w.in_c == 3 && s_.padded == 3 && s_.block >= 3 && s_.groups == 1 && s_.mantissa &&
      k.round_rgb(s_.x + (id * w.in_w + begin) * 3, count, s_.mantissa, to)) {
    return;
  }
  const bool direct = !s_.bf16 && s_.multiplier == 1 && s_.padded == w.in_c;
  float* plain = direct ? reinterpret_cast<float*>(to) : plain_;
  round(id, begin, count, plain);
  if (direct) return;
  for (int p = 0; p < count; p++) {
    const float* from = plain + size_t(p) * w.in_c;
    if (s_.bf16) {
      uint16_t* out = reinterpret_cast<uint16_t*>(to) + size_t(p) * s_.padded;
      for (int c = 0; c < w.in_c; c++) out[c] = uint16_t(bits_of(from[c]) >> 16);
    } else {
      float* out = reinterpret_cast<float*>(to) + size_t(p) * s_.padded;
      if (s_.multiplier == 1) std::memcpy(out, from, w.in_c * sizeof(float));
      else for (int c = 0; c < w.in_c; c++) for (int m = 0; m < s_.multiplier; m++) out[c * s_.multiplier + m] = from[c];
    }
  }
}

}  // namespace dsconv
