// The 256-bit x86 sets (AVX2 and AVX-VNNI): the tile in two halves of 16 channels, since there are 16 registers. The including
// file defines struct Dots, which adds the products of one weight set (4 depths of 8 channels a vector) to accumulators.
#pragma once

#include <immintrin.h>

#include "kernels_vector.h"

namespace dsconv {
namespace {

#define DSCONV_INLINE inline __attribute__((always_inline))
#define DSCONV_UNROLL _Pragma("GCC unroll 8")

// 4 mantissas as an operand of assembly. The rows' products are assembly because 6 rows by 2 vectors of sums leave 4 registers, for 2 vectors of
// weights and 2 for a row: when a compiler orders them, it wants more and moves sums to the stack.
typedef int32_t Four __attribute__((aligned(1), may_alias));

// 8 channels of one weight set. The mask stays in memory, for the same reason.
template <int Shift>
DSCONV_INLINE __m256i unpack(const uint8_t* w, __m256i& mask) {
  const __m256i packed = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
  const __m256i low = Shift == 0 ? packed : _mm256_srli_epi16(packed, Shift);
  asm volatile("" : "+m"(mask));
  return _mm256_and_si256(low, mask);
}

// Adds a block's sums, times its scales, to the float sums in `out`.
template <int Rows, bool Plain, bool Scaled>
DSCONV_INLINE void add_block(const __m256i (&acc)[Rows][2], const BlockRecord* const* records, int64_t j, const float* scales, float* out, size_t ldo) {
  const __m256 scale[2] = {Scaled ? _mm256_loadu_ps(scales) : __m256(), Scaled ? _mm256_loadu_ps(scales + 8) : __m256()};
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++, out += ldo) {
    const __m256 magic = _mm256_castsi256_ps(_mm256_set1_epi32(int32_t(records[r][j].magic)));
    DSCONV_UNROLL
    for (int v = 0; v < 2; v++) {
      const __m256 before = _mm256_loadu_ps(out + 8 * v);
      __m256 p, after;
      if (Plain) {
        p = _mm256_cvtepi32_ps(acc[r][v]);
        if (Scaled) p = _mm256_mul_ps(p, scale[v]);
        after = _mm256_fmadd_ps(p, magic, before);
      } else {
        p = _mm256_sub_ps(_mm256_castsi256_ps(acc[r][v]), magic);
        after = Scaled ? _mm256_fmadd_ps(p, scale[v], before) : _mm256_add_ps(p, before);
      }
      _mm256_storeu_ps(out + 8 * v, after);
    }
  }
}

// Rows by 16 channels. `stride`: bytes from one step of this column to the next (128 in a tile of two vectors). Float sums live in `out`.
template <int Storage, int Rows>
DSCONV_INLINE void half_tile(const TileArgs& a, const uint8_t* weights, const float* all_scales, size_t vectors, float* out) {
  const size_t ldo = a.ldo;
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    _mm256_storeu_ps(out + r * ldo, _mm256_setzero_ps());
    _mm256_storeu_ps(out + r * ldo + 8, _mm256_setzero_ps());
  }
  const size_t stride = 64 * vectors;
  for (int t = 0; t < a.tap_count; t++) {
    const TapRows& tap = a.taps[t];
    const uint8_t* w = weights + tap.tap * a.tap_weights * vectors;
    const float* scales = all_scales ? all_scales + tap.tap * a.tap_scales * vectors : nullptr;
    for (int64_t j = 0; j < a.blocks; j++) {
      const int64_t steps = j == a.blocks - 1 ? a.last_steps : a.steps;
      const int8_t* x[Rows];
      __m256i acc[Rows][2];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        x[r] = tap.x[r] + j * a.block;
        acc[r][0] = acc[r][1] = _mm256_set1_epi32(tap.record[r][j].start);
      }
      Dots<Storage, Rows>::run(acc, w, stride, x, steps);
      w += stride * steps;
      if (a.plain) {
        if (scales) add_block<Rows, true, true>(acc, tap.record, j, scales, out, ldo);
        else add_block<Rows, true, false>(acc, tap.record, j, scales, out, ldo);
      } else {
        if (scales) add_block<Rows, false, true>(acc, tap.record, j, scales, out, ldo);
        else add_block<Rows, false, false>(acc, tap.record, j, scales, out, ldo);
      }
      if (scales) scales += 16 * vectors;
    }
  }
}

template <int Storage, int Rows>
DSCONV_INLINE void rows_of_half_tile(const TileArgs& a, const uint8_t* weights, const float* scales, size_t vectors, float* out) {
  if (a.count == Rows) half_tile<Storage, Rows>(a, weights, scales, vectors, out);
  else if constexpr (Rows > 1) rows_of_half_tile<Storage, Rows - 1>(a, weights, scales, vectors, out);
}

template <int Storage>
void tile_256(const TileArgs& a) {
  for (int v = 0; v < a.vectors; v++) {
    const int first = v & ~1;
    const size_t vectors = min_of(2, a.vectors - first);
    const uint8_t* w = a.weights + first * a.vector_weights + 64 * (v - first);
    const float* scales = a.scales ? a.scales + first * a.vector_scales + 16 * (v - first) : nullptr;
    float* out = a.out + 16 * v;
    rows_of_half_tile<Storage, kTileRows>(a, w, scales, vectors, out);
    if (!a.shifts) continue;
    for (int r = 0; r < a.count; r++) {
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

DSCONV_INLINE __m256i magnitudes(__m256 v) { return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7FFFFFFF)); }

DSCONV_INLINE uint32_t largest_lane(__m256i v) {
  __m128i half = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xB1));
  return uint32_t(_mm_cvtsi128_si32(half));
}

// Bits of the largest magnitude.
DSCONV_INLINE uint32_t largest_of(const float* x, int length) {
  __m256i best = _mm256_setzero_si256(), other = best;
  int c = 0;
  for (; c + 16 <= length; c += 16) {
    best = _mm256_max_epu32(best, magnitudes(_mm256_loadu_ps(x + c)));
    other = _mm256_max_epu32(other, magnitudes(_mm256_loadu_ps(x + c + 8)));
  }
  if (c + 8 <= length) {
    best = _mm256_max_epu32(best, magnitudes(_mm256_loadu_ps(x + c)));
    c += 8;
  }
  uint32_t largest = largest_lane(_mm256_max_epu32(best, other));
  for (; c < length; c++) largest = max_of(largest, bits_of(x[c]) & 0x7FFFFFFFu);
  return largest;
}

// Mantissas of a block, and their sum: x + magic (image.h) has x rounded in its low bits.
DSCONV_INLINE int32_t round_block(const float* x, int length, uint32_t magic, int limit, int8_t* to) {
  const __m256 shift = _mm256_set1_ps(float_of(magic));
  const __m256i base = _mm256_set1_epi32(int32_t(magic)), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i high = _mm256_set1_epi8(int8_t(limit)), low = _mm256_set1_epi8(int8_t(-limit));
  const auto rounded = [&](int c) { return _mm256_sub_epi32(_mm256_castps_si256(_mm256_add_ps(_mm256_loadu_ps(x + c), shift)), base); };
  __m256i total = _mm256_setzero_si256();
  const auto add = [&](__m256i m) { total = _mm256_add_epi32(total, _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), m), _mm256_set1_epi16(1))); };
  int c = 0;
  for (; c + 32 <= length; c += 32) {
    const __m256i words = _mm256_packs_epi32(rounded(c), rounded(c + 8)), more = _mm256_packs_epi32(rounded(c + 16), rounded(c + 24));
    __m256i m = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words, more), order);
    m = _mm256_max_epi8(_mm256_min_epi8(m, high), low);
    add(m);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + c), m);
  }
  for (; c + 8 <= length; c += 8) {
    const __m256i m = rounded(c);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    __m128i bytes = _mm_packs_epi16(words, _mm_setzero_si128());
    bytes = _mm_max_epi8(_mm_min_epi8(bytes, _mm256_castsi256_si128(high)), _mm256_castsi256_si128(low));
    add(_mm256_zextsi128_si256(bytes));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to + c), bytes);
  }
  __m128i t = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
  t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
  t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1));
  int32_t sum = _mm_cvtsi128_si32(t);
  for (; c < length; c++) {
    const int m = int(bits_of(x[c] + float_of(magic)) - magic);
    to[c] = int8_t(min_of(max_of(m, -limit), limit));
    sum += to[c];
  }
  return sum;
}

// Mantissas and record of a block. Returns true when it was huge.
DSCONV_INLINE bool write_block(const QuantizeArgs& q, int r, uint32_t largest) {
  const uint32_t biased = largest >> 23;
  const int e = int(biased) - 127 - (q.mantissa - 2);
  if (e > kMaxMagicExponent && biased != 255) {
    QuantizeArgs one = q;
    one.source += r * q.ld;
    one.rows = 1;
    one.mantissas[0] = q.mantissas[r];
    one.records[0] = q.records[r];
    one.sums[0] = q.sums[r];
    return quantize_scalar(one);
  }
  bool huge = false;
  int32_t sum = 0;
  if (biased < kMinBiased || biased == 255) std::memset(q.mantissas[r], 0, size_t(q.length));
  else sum = round_block(q.source + r * q.ld, q.length, uint32_t(e + 23 + 127) << 23 | 0x400000u, (1 << (q.mantissa - 1)) - 1, q.mantissas[r]);
  const BlockRecord record = record_of(largest, sum, q.mantissa, q.storage, q.plain, &huge);
  *q.records[r] = record;
  if (q.sums[r]) *q.sums[r] = scale_of(record, q.plain) * float(sum);
  return huge;
}

// Rows are independent, so that their latencies overlap: all magnitudes first, then all mantissas.
inline bool quantize_256(const QuantizeArgs& q) {
  bool huge = false;
  uint32_t largest[kTileRows];
  for (int r = 0; r < q.rows; r++) largest[r] = largest_of(q.source + r * q.ld, q.length);
  for (int r = 0; r < q.rows; r++) huge |= write_block(q, r, largest[r]);
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
  const float *scale = e.scale, *bias = e.bias;
  for (int r = 0; r < e.rows; r++) {
    float* row = e.tile + r * e.ld;
    const float* residual = e.has_residual ? e.residual[r] : nullptr;
    for (int c = 0; c < whole; c += 8) {
      __m256 v = _mm256_loadu_ps(row + c);
      if (scale) v = _mm256_mul_ps(v, _mm256_loadu_ps(scale + c));
      if (bias) v = _mm256_add_ps(v, _mm256_loadu_ps(bias + c));
      if (residual) v = _mm256_add_ps(v, _mm256_loadu_ps(residual + c));
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

// ---- finishing in two halves: whole blocks of a multiple of 32 channels ---------------------------------------------------------------

// Final values of a block of one row; the bits of the largest magnitude.
template <bool Scale, int Residual>
DSCONV_INLINE uint32_t finish_values(const FinishArgs& f, int r, int block, __m256 lower, __m256 upper) {
  const FinishSpec& s = *f.spec;
  const int first = block * s.block, channel = f.c0 + first;
  const float *scale = Scale ? s.scale + channel : nullptr, *bias = s.bias ? s.bias + channel : nullptr;
  const float* f32 = Residual == 1 ? f.rows->residual[r] + channel : nullptr;
  const int8_t* x = Residual == 2 ? f.rows->residual_x[r] + channel : nullptr;
  const __m256 unit = _mm256_set1_ps(Residual == 2 ? scale_of(f.rows->residual_record[r][channel / s.block], false) : 0.0f);
  float* row = f.tile + r * f.ld + first;
  __m256i best = _mm256_setzero_si256();
  for (int c = 0; c < s.block; c += 8) {
    __m256 v = _mm256_loadu_ps(row + c);
    if (Scale) v = _mm256_mul_ps(v, _mm256_loadu_ps(scale + c));
    if (bias) v = _mm256_add_ps(v, _mm256_loadu_ps(bias + c));
    if (Residual == 1) v = _mm256_add_ps(v, _mm256_loadu_ps(f32 + c));
    if (Residual == 2) {
      const __m256i m = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x + c)));
      v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(m), unit, v);
    }
    v = _mm256_min_ps(upper, _mm256_max_ps(lower, v));
    best = _mm256_max_epu32(best, magnitudes(v));
    _mm256_storeu_ps(row + c, v);
  }
  if (s.has_f32) std::memcpy(f.rows->f32[r] + channel, row, size_t(s.block) * sizeof(float));
  return largest_lane(best);
}

template <bool Scale, int Residual>
void finish_first_rows(FinishArgs& f) {
  const __m256 lower = _mm256_set1_ps(f.spec->lower), upper = _mm256_set1_ps(f.spec->upper);
  for (int n = 0; n < f.blocks; n++) {
    for (int r = 0; r < f.rows->rows; r++) f.largest[n][r] = finish_values<Scale, Residual>(f, r, n, lower, upper);
  }
}

inline void finish_first_256(FinishArgs& f) {
  const bool scale = f.spec->scale;
  switch (f.spec->residual_kind) {
    case 0: return scale ? finish_first_rows<true, 0>(f) : finish_first_rows<false, 0>(f);
    case 1: return scale ? finish_first_rows<true, 1>(f) : finish_first_rows<false, 1>(f);
    default: return scale ? finish_first_rows<true, 2>(f) : finish_first_rows<false, 2>(f);
  }
}

inline bool finish_second_256(FinishArgs& f) {
  const FinishSpec& s = *f.spec;
  QuantizeArgs q{};
  q.ld = f.ld;
  q.rows = f.rows->rows;
  q.length = s.block;
  q.mantissa = s.mantissa;
  q.storage = s.storage;
  bool huge = false;
  for (int n = 0; n < f.blocks; n++) {
    const int channel = f.c0 + n * s.block;
    q.source = f.tile + n * s.block;
    for (int r = 0; r < q.rows; r++) {
      q.mantissas[r] = f.rows->mantissas[r] + channel;
      q.records[r] = f.rows->records[r] + channel / s.block;
      huge |= write_block(q, r, f.largest[n][r]);
    }
  }
  return huge;
}

}  // namespace
}  // namespace dsconv
