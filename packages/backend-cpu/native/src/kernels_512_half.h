// AVX-512: blocks of 64 or 128 channels of 3 pixels, finished in two steps with other work between them.
#pragma once

#include "kernels_512_finish.h"

namespace dsconv {
namespace {

// Three vectors to one: every 128 bits hold the reductions of rows 0, 1, 2 and 2 again.
template <typename Op>
DSCONV_INLINE __m512i reduce_3_rows(__m512i a, __m512i b, __m512i c) {
  const __m512i ab = Op::of(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b)), cc = Op::of(_mm512_unpacklo_epi32(c, c), _mm512_unpackhi_epi32(c, c));
  const __m512i x = Op::of(_mm512_unpacklo_epi64(ab, cc), _mm512_unpackhi_epi64(ab, cc));
  const __m512i y = Op::of(x, _mm512_shuffle_i32x4(x, x, 0x4E));
  return Op::of(y, _mm512_shuffle_i32x4(y, y, 0xB1));
}

// Values of 3 rows by a block between the two parts of their finishing: the second is done after the products of the next 3 rows are under way, so
// that nothing waits for the maximum over a block. Of a block of 128 channels (Parts = 2) the first 64 are in the memory of FusedArgs.
struct HalfBlock {
  __m512 y[3][4];
  __m512i magic;
  int row, channel;    // channel: the block's first
  int64_t pixel = 0;   // so many behind those that the rows of FusedArgs point to
};

// Mantissas and records.
template <Clamp C, int Parts>
DSCONV_INLINE void write_half(const FusedArgs& f, const HalfBlock& h) {
  const FusedSpec& s = *f.spec;
  const RoundConstants k{load(kOrders.even), load(kOrders.quarters), _mm512_set1_epi8(char(-s.limit)), _mm512_set1_epi8(char(s.limit))};
  const __m512 rows[3] = {_mm512_castsi512_ps(_mm512_shuffle_epi32(h.magic, _MM_PERM_AAAA)), _mm512_castsi512_ps(_mm512_shuffle_epi32(h.magic, _MM_PERM_BBBB)),
                          _mm512_castsi512_ps(_mm512_shuffle_epi32(h.magic, _MM_PERM_CCCC))};
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sum[3];
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) {
    int8_t* const to = f.mantissas[h.row + r] + h.pixel * int64_t(s.stride) + h.channel;
    sum[r] = _mm512_setzero_si512();
    if (Parts == 2) {
      const float* const first = f.park[h.row + r];
      const __m512i m = mantissas_of<C == Clamp::kAny>(_mm512_add_ps(_mm512_load_ps(first), rows[r]), _mm512_add_ps(_mm512_load_ps(first + 16), rows[r]),
                                                       _mm512_add_ps(_mm512_load_ps(first + 32), rows[r]), _mm512_add_ps(_mm512_load_ps(first + 48), rows[r]), k);
      _mm512_storeu_si512(to, m);
      sum[r] = _mm512_dpbusd_epi32(sum[r], ones, m);
    }
    const __m512i m = mantissas_of<C == Clamp::kAny>(_mm512_add_ps(h.y[r][0], rows[r]), _mm512_add_ps(h.y[r][1], rows[r]), _mm512_add_ps(h.y[r][2], rows[r]),
                                                     _mm512_add_ps(h.y[r][3], rows[r]), k);
    _mm512_storeu_si512(to + 64 * (Parts - 1), m);
    sum[r] = _mm512_dpbusd_epi32(sum[r], ones, m);
  }
  const __m512i repay = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), reduce_3_rows<Add>(sum[0], sum[1], sum[2])), unsigned(s.storage - 1));
  const __m128i magic = _mm512_castsi512_si128(h.magic), start = _mm_add_epi32(magic, _mm512_castsi512_si128(repay)), pairs = _mm_unpacklo_epi32(start, magic);
  const int64_t block = h.channel / (64 * Parts) + h.pixel * int64_t(s.entries);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(f.records[h.row] + block), pairs);
  _mm_storeh_pd(reinterpret_cast<double*>(f.records[h.row + 1] + block), _mm_castsi128_pd(pairs));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(f.records[h.row + 2] + block), _mm_unpackhi_epi32(start, magic));
}

// Residual and clamp of new sums of 64 channels; gives the largest magnitudes by lane.
template <Clamp C>
DSCONV_INLINE void clamp_half(const FusedArgs& f, const __m512 (&sum)[3][4], int row, int channel, __m512 (&y)[3][4], __m512i (&largest)[3]) {
  const FusedSpec& s = *f.spec;
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) y[r][v] = sum[r][v];
  }
  if (s.residual_kind == FusedSpec::kImage) {
    const int64_t block = unsigned(channel) / unsigned(s.residual_block);
    DSCONV_UNROLL
    for (int r = 0; r < 3; r++) {
      // M * scale as (magic + M * scale) - magic, which is exact, and NaN for a block that is.
      const __m512i magic = _mm512_set1_epi32(int32_t(f.residual_record[row + r][block].magic));
      const int8_t* const x = f.residual_x[row + r] + channel;
      DSCONV_UNROLL
      for (int v = 0; v < 4; v++) {
        const __m512i m = _mm512_add_epi32(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 16 * v))), magic);
        y[r][v] = _mm512_add_ps(y[r][v], _mm512_sub_ps(_mm512_castsi512_ps(m), _mm512_castsi512_ps(magic)));
      }
    }
  }
  const __m512 lower = _mm512_set1_ps(s.lower), upper = _mm512_set1_ps(s.upper);
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) {
      y[r][v] = clamp<C>(y[r][v], lower, upper);
      const __m512i magnitude = magnitude_of<C>(y[r][v]);
      largest[r] = v == 0 ? magnitude : _mm512_max_epu32(largest[r], magnitude);
    }
  }
}

// Values of 3 rows to the memory of FusedArgs.
DSCONV_INLINE void park_half(FusedArgs& f, const __m512 (&y)[3][4], int row, int at) {
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) _mm512_store_ps(f.park[row + r] + at + 16 * v, y[r][v]);
  }
}

// Magic numbers of a block whose last sums are these. False: a block is not finite or huge, and was written in the general form.
template <Clamp C, int Parts>
DSCONV_INLINE bool take_half(FusedArgs& f, const __m512 (&sum)[3][4], HalfBlock& h) {
  const int mantissa = f.spec->mantissa;
  __m512i largest[3];
  clamp_half<C>(f, sum, h.row, h.channel + 64 * (Parts - 1), h.y, largest);
  if (Parts == 2) {
    DSCONV_UNROLL
    for (int r = 0; r < 3; r++) largest[r] = _mm512_max_epu32(largest[r], load(f.largest[h.row + r]));
  }
  // A block of zeros gets a scale at which all that counts as zero becomes 0; blocks between the two, like those that are not finite or huge, are special.
  constexpr uint32_t kSmallest = kMinBiased + 8;
  const __m512i most = reduce_3_rows<Max>(largest[0], largest[1], largest[2]), smallest = _mm512_set1_epi32(int(kSmallest << 23));
  const uint32_t highest = (uint32_t(kMaxMagicExponent + 127 + mantissa - 2) << 23) | 0x7FFFFF;
  const __mmask16 is_special = _mm512_cmpgt_epu32_mask(_mm512_sub_epi32(most, smallest), _mm512_set1_epi32(int(highest - (kSmallest << 23))));
  if (__builtin_expect(_mm512_mask_cmpneq_epu32_mask(is_special, most, _mm512_setzero_si512()), 0)) {
    park_half(f, h.y, h.row, 64 * (Parts - 1));
    f.move_on(h.pixel);
    write_special(f, h.channel, 64 * Parts, h.row, min_of(3, f.rows - h.row));
    f.move_on(-h.pixel);
    return false;
  }
  const __m512i shifted = _mm512_add_epi32(_mm512_max_epu32(most, smallest), _mm512_set1_epi32((23 - (mantissa - 2)) << 23));
  h.magic = _mm512_ternarylogic_epi32(shifted, _mm512_set1_epi32(int(0xFF800000)), _mm512_set1_epi32(0x400000), 0xEA);  // (a & b) | c
  return true;
}

}  // namespace
}  // namespace dsconv
