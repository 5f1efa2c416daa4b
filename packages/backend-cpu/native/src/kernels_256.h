// The 256-bit x86 sets (AVX2 and AVX-VNNI): the tile in two halves of 16 channels, 4 rows at a time, since there are 16 registers. The including
// file defines struct Dots, which adds the products of one weight set (4 depths of 8 channels a vector) to accumulators.
#pragma once

#include <immintrin.h>

#define DSCONV_VECTOR_ROWS 3
#include "kernels_vector.h"

namespace dsconv {
namespace {

#define DSCONV_INLINE inline __attribute__((always_inline))
#define DSCONV_UNROLL _Pragma("GCC unroll 8")

DSCONV_INLINE __m256i broadcast_dword(const int8_t* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return _mm256_set1_epi32(v);
}

template <int Storage, int Set>
DSCONV_INLINE __m256i unpack(__m256i w) {
  if (Storage == 8) return w;
  return _mm256_and_si256(Set == 0 ? w : _mm256_srli_epi16(w, Set * Storage), _mm256_set1_epi8((1 << Storage) - 1));
}

// Rows by 16 channels. `stride`: bytes from one step of this column to the next (128 in a tile of two vectors). Float sums live in `out`.
template <int Storage, int Rows>
DSCONV_INLINE void half_tile(const TileArgs& a, int r0, const uint8_t* weights, const float* all_scales, size_t vectors, float* out) {
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    _mm256_storeu_ps(out + r * a.ldo, _mm256_setzero_ps());
    _mm256_storeu_ps(out + r * a.ldo + 8, _mm256_setzero_ps());
  }
  const size_t stride = 64 * vectors;
  for (int t = 0; t < a.tap_count; t++) {
    const TapRows& tap = a.taps[t];
    const uint8_t* w = weights + tap.tap * a.tap_weights * vectors;
    const float* scales = all_scales ? all_scales + tap.tap * a.tap_scales * vectors : nullptr;
    for (int64_t j = 0; j < a.blocks; j++) {
      const int steps = j == a.blocks - 1 ? a.last_steps : a.steps;
      const int8_t* x[Rows];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) x[r] = tap.x[r0 + r] + j * a.block;
      // Starts are those of the magic form; here the integer sum is wanted alone.
      __m256i acc[Rows][2];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const BlockRecord& record = tap.record[r0 + r][j];
        acc[r][0] = acc[r][1] = _mm256_set1_epi32(record.start);
      }
      Dots<Storage, Rows>::run(acc, w, stride, x, steps);
      w += stride * steps;
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const __m256 magic = _mm256_castsi256_ps(_mm256_set1_epi32(int32_t(tap.record[r0 + r][j].magic)));
        DSCONV_UNROLL
        for (int v = 0; v < 2; v++) {
          float* at = out + r * a.ldo + 8 * v;
          __m256 p;
          if (a.plain) {
            p = _mm256_cvtepi32_ps(acc[r][v]);
            if (scales) p = _mm256_mul_ps(p, _mm256_loadu_ps(scales + 8 * v));
            _mm256_storeu_ps(at, _mm256_fmadd_ps(p, magic, _mm256_loadu_ps(at)));
          } else {
            p = _mm256_sub_ps(_mm256_castsi256_ps(acc[r][v]), magic);
            _mm256_storeu_ps(at, scales ? _mm256_fmadd_ps(p, _mm256_loadu_ps(scales + 8 * v), _mm256_loadu_ps(at)) : _mm256_add_ps(p, _mm256_loadu_ps(at)));
          }
        }
      }
      if (scales) scales += 16 * vectors;
    }
  }
}

template <int Storage>
void tile_256(const TileArgs& a) {
  for (int v = 0; v < a.vectors; v++) {
    const int first = v & ~1;
    const size_t vectors = min_of(2, a.vectors - first);
    const uint8_t* w = a.weights + first * a.vector_weights + 64 * (v - first);
    const float* scales = a.scales ? a.scales + first * a.vector_scales + 16 * (v - first) : nullptr;
    float* out = a.out + 16 * v;
    int r = 0;
    for (; r + kRowsAtOnce <= a.count; r += kRowsAtOnce) half_tile<Storage, kRowsAtOnce>(a, r, w, scales, vectors, out + r * a.ldo);
    for (; r + 2 <= a.count; r += 2) half_tile<Storage, 2>(a, r, w, scales, vectors, out + r * a.ldo);
    for (; r < a.count; r++) half_tile<Storage, 1>(a, r, w, scales, vectors, out + r * a.ldo);
    if (!a.shifts) continue;
    for (r = 0; r < a.count; r++) {
      for (int t = 0; t < a.tap_count; t++) {
        const float* totals = a.sums + (a.taps[t].record[r] - a.records);
        const float* shift = a.shifts + first * a.vector_scales + a.taps[t].tap * a.tap_scales * vectors + 16 * (v - first);
        for (int j = 0; j < a.blocks; j++) {
          for (int c = 0; c < 16; c++) out[r * a.ldo + c] += totals[j] * shift[16 * vectors * j + c];
        }
      }
    }
  }
}

// ---- block floating point: 8 floats at a time --------------------------------------------------------------------------------

inline bool quantize_256(const QuantizeArgs& q) {
  bool huge = false;
  const int limit = (1 << (q.mantissa - 1)) - 1, whole = q.length & ~7;
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  for (int r = 0; r < q.rows; r++) {
    const float* x = q.source + r * q.ld;
    __m256i best = _mm256_setzero_si256();
    for (int c = 0; c < whole; c += 8) best = _mm256_max_epu32(best, _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + c)), magnitude));
    __m128i half = _mm_max_epu32(_mm256_castsi256_si128(best), _mm256_extracti128_si256(best, 1));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4E));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xB1));
    uint32_t largest = uint32_t(_mm_cvtsi128_si32(half));
    for (int c = whole; c < q.length; c++) largest = max_of(largest, bits_of(x[c]) & 0x7FFFFFFFu);
    const uint32_t biased = largest >> 23;
    int32_t sum = 0;
    if (biased < kMinBiased || biased == 255) {
      std::memset(q.mantissas[r], 0, size_t(q.length));
    } else {
      const float inverse = float_of(((254 + q.mantissa - 2) << 23) - (biased << 23));
      const __m256 s = _mm256_set1_ps(inverse);
      const __m256i high = _mm256_set1_epi32(limit), low = _mm256_set1_epi32(-limit);
      __m256i total = _mm256_setzero_si256();
      for (int c = 0; c < whole; c += 8) {
        __m256i m = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + c), s));
        m = _mm256_min_epi32(_mm256_max_epi32(m, low), high);
        total = _mm256_add_epi32(total, m);
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(q.mantissas[r] + c), _mm_packs_epi16(words, words));
      }
      __m128i t = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
      t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
      t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1));
      sum = _mm_cvtsi128_si32(t);
      for (int c = whole; c < q.length; c++) {
        const int m = min_of(max_of(round_scalar(x[c] * inverse), -limit), limit);
        q.mantissas[r][c] = int8_t(m);
        sum += m;
      }
    }
    const BlockRecord record = record_of(largest, sum, q.mantissa, q.storage, q.plain, &huge);
    *q.records[r] = record;
    if (q.sums[r]) *q.sums[r] = scale_of(record, q.plain) * float(sum);
  }
  return huge;
}

inline void decode_256(const DecodeArgs& d) {
  for (int c0 = 0, j = 0; c0 < d.length; c0 += d.block, j++) {
    const int end = min_of(d.length, c0 + d.block);
    const float scale = scale_of(d.records[j], d.plain);
    const __m256 s = _mm256_set1_ps(scale);
    int c = c0;
    for (; c + 8 <= end; c += 8) {
      const __m256i m = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(d.mantissas + c)));
      _mm256_storeu_ps(d.out + c, _mm256_mul_ps(_mm256_cvtepi32_ps(m), s));
    }
    for (; c < end; c++) d.out[c] = float(d.mantissas[c]) * scale;
  }
}

inline void epilogue_256(const EpilogueArgs& e) {
  if (e.activation > kRelu6) return epilogue_scalar(e);
  const __m256 lower = _mm256_set1_ps(e.activation == kLinear ? -INFINITY : 0.0f), upper = _mm256_set1_ps(e.activation == kRelu6 ? 6.0f : INFINITY);
  const int whole = e.channels & ~7;
  for (int r = 0; r < e.rows; r++) {
    float* row = e.tile + r * e.ld;
    for (int c = 0; c < whole; c += 8) {
      __m256 v = _mm256_loadu_ps(row + c);
      if (e.scale) v = _mm256_mul_ps(v, _mm256_loadu_ps(e.scale + c));
      if (e.bias) v = _mm256_add_ps(v, _mm256_loadu_ps(e.bias + c));
      if (e.has_residual) v = _mm256_add_ps(v, _mm256_loadu_ps(e.residual[r] + c));
      _mm256_storeu_ps(row + c, _mm256_min_ps(upper, _mm256_max_ps(lower, v)));
    }
  }
  if (whole == e.channels) return;
  EpilogueArgs rest = e;
  rest.tile += whole;
  rest.channels -= whole;
  if (e.scale) rest.scale += whole;
  if (e.bias) rest.bias += whole;
  for (int r = 0; r < e.rows && e.has_residual; r++) rest.residual[r] += whole;
  epilogue_scalar(rest);
}

}  // namespace
}  // namespace dsconv
