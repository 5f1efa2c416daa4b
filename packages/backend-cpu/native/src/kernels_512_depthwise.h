// AVX-512: depthwise convolution of images. Input rows are decoded to floats once; 6 pixels by 64 channels of output stay in registers from the first tap
// to the mantissas.
#pragma once

#include "kernels_512_half.h"

namespace dsconv {
namespace {

// 6 pixels from ox on of any window, tap by tap; of fewer the last is repeated.
template <int Vectors>
void depthwise_taps(const DepthwiseArgs& a, FusedArgs& f, int c0, const Run& run, int ox) {
  const int64_t channel = run.channel(), at = channel - c0;
  int64_t offset[kTileRows];
  DSCONV_UNROLL
  for (int p = 0; p < kTileRows; p++) {
    const int64_t pixel = min_of(ox + p, a.count - 1);
    offset[p] = at + (a.offsets ? int64_t(a.offsets[pixel]) : pixel * int64_t(a.pixel_step));
  }
  __m512 y[kTileRows][Vectors];
  DSCONV_UNROLL
  for (int v = 0; v < Vectors; v++) {
    const __m512 start = a.bias ? _mm512_loadu_ps(a.bias + channel + 16 * v) : _mm512_setzero_ps();
    DSCONV_UNROLL
    for (int p = 0; p < kTileRows; p++) y[p][v] = start;
    for (int t = 0; t < a.tap_count; t++) {
      const __m512 w = _mm512_loadu_ps(a.weights[t] + at + 16 * v);
      const float* const x = a.taps[t] + 16 * v;
      DSCONV_UNROLL
      for (int p = 0; p < kTileRows; p++) y[p][v] = _mm512_fmadd_ps(w, _mm512_loadu_ps(x + offset[p]), y[p][v]);
    }
  }
  finish_channels<Vectors, false>(f, y, run);
}

// Rows of 3 touching taps over 6 pixels: every input vector is loaded once for all the pixels that see it. Rows of taps are a constant: the end of a loop
// of 3 is mispredicted more often than not.
template <int Vectors, int Stride, int Rows>
void depthwise_rows_of_3(const DepthwiseArgs& a, FusedArgs& f, int c0, const Run& run, int ox) {
  const int64_t channel = run.channel(), at = channel - c0, column = int64_t(a.pixel_step) / Stride;
  const int64_t first = at + ox * int64_t(a.pixel_step);
  __m512 y[kTileRows][Vectors];
  DSCONV_UNROLL
  for (int v = 0; v < Vectors; v++) {
    const __m512 start = a.bias ? _mm512_loadu_ps(a.bias + channel + 16 * v) : _mm512_setzero_ps();
    DSCONV_UNROLL
    for (int p = 0; p < kTileRows; p++) y[p][v] = start;
    DSCONV_UNROLL
    for (int t = 0; t < 3 * Rows; t += 3) {
      __m512 w[3];
      DSCONV_UNROLL
      for (int k = 0; k < 3; k++) w[k] = _mm512_loadu_ps(a.weights[t + k] + at + 16 * v);
      const float* x = a.taps[t] + first + 16 * v;
#pragma GCC unroll 16
      for (int n = 0; n < (kTileRows - 1) * Stride + 3; n++, x += column) {
        const __m512 value = _mm512_loadu_ps(x);
        DSCONV_UNROLL
        for (int k = 0; k < 3; k++) {
          if (n >= k && (n - k) % Stride == 0 && (n - k) / Stride < kTileRows) y[(n - k) / Stride][v] = _mm512_fmadd_ps(w[k], value, y[(n - k) / Stride][v]);
        }
      }
    }
  }
  finish_channels<Vectors, false>(f, y, run);
}

// Rows of 3 touching taps, a whole row of outputs, 3 pixels by a block of 64 channels at a time.
template <int Stride, Clamp C, int Rows>
void depthwise_halves(const DepthwiseArgs& a, FusedArgs& f, int c0, int channel) {
  const int64_t at = channel - c0, column = int64_t(a.pixel_step) / Stride;
  HalfBlock pending;
  pending.row = 0;
  pending.channel = channel;
  bool is_pending = false;
  for (int x = 0;;) {
    const int64_t first = at + x * int64_t(a.pixel_step);
    __m512 sum[3][4];
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) {
      sum[0][v] = sum[1][v] = sum[2][v] = a.bias ? _mm512_loadu_ps(a.bias + channel + 16 * v) : _mm512_setzero_ps();
      DSCONV_UNROLL
      for (int t = 0; t < 3 * Rows; t += 3) {
        __m512 w[3];
        DSCONV_UNROLL
        for (int k = 0; k < 3; k++) w[k] = _mm512_loadu_ps(a.weights[t + k] + at + 16 * v);
        const float* from = a.taps[t] + first + 16 * v;
        DSCONV_UNROLL
        for (int n = 0; n < 2 * Stride + 3; n++, from += column) {
          const __m512 value = _mm512_loadu_ps(from);
          DSCONV_UNROLL
          for (int k = 0; k < 3; k++) {
            if (n >= k && (n - k) % Stride == 0 && (n - k) / Stride < 3) sum[(n - k) / Stride][v] = _mm512_fmadd_ps(w[k], value, sum[(n - k) / Stride][v]);
          }
        }
      }
    }
    if (is_pending) write_half<C, 1>(f, pending);
    pending.pixel = x;
    is_pending = take_half<C, 1>(f, sum, pending);
    // The last pixels may be computed once more.
    const int step = min_of(3, a.count - 3 - x);
    if (step <= 0) break;
    x += step;
  }
  if (is_pending) write_half<C, 1>(f, pending);
}

template <int Stride, Clamp C>
void depthwise_halves_rows(const DepthwiseArgs& a, FusedArgs& f, int c0, int channel) {
  switch (a.tap_count) {
    case 9: return depthwise_halves<Stride, C, 3>(a, f, c0, channel);
    case 6: return depthwise_halves<Stride, C, 2>(a, f, c0, channel);
    default: return depthwise_halves<Stride, C, 1>(a, f, c0, channel);
  }
}

template <int Stride>
void depthwise_halves_of(const DepthwiseArgs& a, FusedArgs& f, int c0, int channel) {
  switch (clamp_of(*f.spec)) {
    case Clamp::kRelu: return depthwise_halves_rows<Stride, Clamp::kRelu>(a, f, c0, channel);
    case Clamp::kRelu6: return depthwise_halves_rows<Stride, Clamp::kRelu6>(a, f, c0, channel);
    default: return depthwise_halves_rows<Stride, Clamp::kAny>(a, f, c0, channel);
  }
}

template <int Vectors>
DSCONV_INLINE void depthwise_run(const DepthwiseArgs& a, FusedArgs& f, int c0, const Run& run, int ox) {
  if (a.touching_stride == 1 && a.tap_count == 9) depthwise_rows_of_3<Vectors, 1, 3>(a, f, c0, run, ox);
  else if (a.touching_stride == 1 && a.tap_count == 6) depthwise_rows_of_3<Vectors, 1, 2>(a, f, c0, run, ox);
  else if (a.touching_stride == 2 && a.tap_count == 9) depthwise_rows_of_3<Vectors, 2, 3>(a, f, c0, run, ox);
  else depthwise_taps<Vectors>(a, f, c0, run, ox);
}

void depthwise_fused__avx512vnni(const DepthwiseArgs& a, FusedArgs& f, int c0) {
  if (a.touching_stride && f.spec->block == 64 && a.channels % 64 == 0 && a.tap_count <= 9 && a.tap_count > 0) {
    for (int c = c0; c < c0 + a.channels; c += 64) {
      if (a.touching_stride == 1) depthwise_halves_of<1>(a, f, c0, c);
      else depthwise_halves_of<2>(a, f, c0, c);
    }
    return;
  }
  // Tiles of 6, the last of which may compute some pixels once more.
  for (int ox = 0;;) {
    each_run(*f.spec, c0, a.channels, [&](int vectors, const Run& run) {
      switch (vectors) {
        case 4: return depthwise_run<4>(a, f, c0, run, ox);
        case 2: return depthwise_run<2>(a, f, c0, run, ox);
        default: return depthwise_run<1>(a, f, c0, run, ox);
      }
    });
    const int step = min_of(kTileRows, a.count - kTileRows - ox);
    if (step <= 0) return;
    ox += step;
    f.move_on(step);
  }
}

void decode_pixels__avx512vnni(const DecodePixelsArgs& d) {
  for (int p = 0; p < d.count; p++) {
    const int8_t* const m = d.mantissas + p * d.stride;
    const BlockRecord* const records = d.records + p * d.entries;
    float* const out = d.out + p * d.ldo;
    for (int first = 0, n = 0; first < d.channels; first += d.block, n++) {
      // (magic + M * scale) - magic: exact, and NaN for a block that is.
      const __m512i magic = _mm512_set1_epi32(int32_t(records[n].magic));
      const auto store = [&](int c, __m128i bytes) {
        const __m512i sum = _mm512_add_epi32(_mm512_cvtepi8_epi32(bytes), magic);
        _mm512_storeu_ps(out + c, _mm512_sub_ps(_mm512_castsi512_ps(sum), _mm512_castsi512_ps(magic)));
      };
      const int end = min_of(d.channels, first + d.block);
      int c = first;
      for (; c + 16 <= end; c += 16) store(c, _mm_loadu_si128(reinterpret_cast<const __m128i*>(m + c)));
      if (c < end) store(c, _mm_maskz_loadu_epi8(__mmask16((1 << (end - c)) - 1), m + c));
    }
  }
}

}  // namespace
}  // namespace dsconv
