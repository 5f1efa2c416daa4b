// The stem on AVX512_BF16: x̂ has 7 bits and a sign, q at most 8 bits, so both are exact in bfloat16 and every product is exact in float32; the dot
// product of pairs adds in float32, at twice the rate of FMA. A value beyond a run of odd length is never read: it might be NaN.
#include <immintrin.h>

#include "kernels.h"

namespace dsconv {
namespace {

#define DSCONV_UNROLL _Pragma("GCC unroll 8")

template <int Rows, int Vectors>
void stem_rows(const StemArgs& a) {
  __m512 acc[Rows][Vectors];
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) acc[r][v] = _mm512_setzero_ps();
  }
  const int pairs = a.length / 2;
  for (int n = 0; n < a.run_count; n++) {
    const uint16_t* x = static_cast<const uint16_t*>(a.runs[n]);
    const uint16_t* w = static_cast<const uint16_t*>(a.weights) + a.run_taps[n] * a.run_weights;
    for (int p = 0; p < pairs; p++, x += 2, w += 32 * Vectors) {
      __m512bh b[Vectors];
      DSCONV_UNROLL
      for (int v = 0; v < Vectors; v++) b[v] = (__m512bh)_mm512_loadu_si512(w + 32 * v);
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        int32_t two;
        __builtin_memcpy(&two, x + r * a.pixel_step, 4);
        __m512i pair = _mm512_set1_epi32(two);
        asm("" : "+v"(pair));
        DSCONV_UNROLL
        for (int v = 0; v < Vectors; v++) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], b[v], (__m512bh)pair);
      }
    }
    if (a.length & 1) {
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const __m512i single = _mm512_set1_epi32(x[r * a.pixel_step]);
        DSCONV_UNROLL
        for (int v = 0; v < Vectors; v++) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], (__m512bh)_mm512_loadu_si512(w + 32 * v), (__m512bh)single);
      }
    }
  }
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) _mm512_storeu_ps(a.out + r * a.ldo + 16 * v, acc[r][v]);
  }
}

template <int Vectors>
void stem_count(const StemArgs& a) {
  switch (a.count) {
    case 6: return stem_rows<6, Vectors>(a);
    case 5: return stem_rows<5, Vectors>(a);
    case 4: return stem_rows<4, Vectors>(a);
    case 3: return stem_rows<3, Vectors>(a);
    case 2: return stem_rows<2, Vectors>(a);
    default: return stem_rows<1, Vectors>(a);
  }
}

void stem_6x32__avx512bf16(const StemArgs& a) {
  if (a.vectors == 2) stem_count<2>(a);
  else stem_count<1>(a);
}

// 16 pixels of 3 channels at a time: exponents are sorted by channel, the magic number of each pixel (image.h) is dealt out again; adding and
// taking away the magic rounds half to even.
bool round_rgb__avx512bf16(const float* x, int count, int mantissa, void* out) {
  alignas(64) int32_t pick[3][2][16], deal[3][16];
  for (int i = 0; i < 48; i++) deal[i / 16][i % 16] = i / 3;
  for (int c = 0; c < 3; c++) {
    for (int p = 0; p < 16; p++) {
      const int at = p * 3 + c;  // in vectors 0, 1: one permutation of two; in vector 2: over the result of that
      pick[c][0][p] = at < 32 ? at : 0;
      pick[c][1][p] = at < 32 ? p : 16 + at - 32;
    }
  }
  const __m512i exponent = _mm512_set1_epi32(0x7F800000);
  const float largest = float((1 << (mantissa - 1)) - 1);
  uint16_t* to = static_cast<uint16_t*>(out);
  for (int n = 0; n < count; n += 16) {
    const int left = (count - n >= 16 ? 16 : count - n) * 3;
    __m512 v[3];
    __mmask16 lanes[3];
    for (int i = 0; i < 3; i++) {
      const int k = left - 16 * i;
      lanes[i] = k >= 16 ? 0xFFFF : k <= 0 ? 0 : __mmask16((1 << k) - 1);
      v[i] = _mm512_maskz_loadu_ps(lanes[i], x + n * 3 + 16 * i);
    }
    __m512i e = _mm512_setzero_si512();
    for (int c = 0; c < 3; c++) {
      const __m512i two = _mm512_permutex2var_epi32(_mm512_castps_si512(v[0]), _mm512_load_si512(pick[c][0]), _mm512_castps_si512(v[1]));
      const __m512i all = _mm512_permutex2var_epi32(two, _mm512_load_si512(pick[c][1]), _mm512_castps_si512(v[2]));
      e = _mm512_max_epu32(e, _mm512_and_si512(all, exponent));
    }
    const __mmask16 zero = _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(int(kMinBiased << 23)));
    const __mmask16 bad = _mm512_cmpeq_epi32_mask(e, exponent);
    const __mmask16 huge = _mm512_cmpgt_epu32_mask(e, _mm512_set1_epi32(int(uint32_t(kMaxMagicExponent + 127 + mantissa - 2) << 23))) & ~bad;
    if (huge) return false;
    __m512i magic = _mm512_or_si512(_mm512_add_epi32(e, _mm512_set1_epi32((23 - (mantissa - 2)) << 23)), _mm512_set1_epi32(0x400000));
    magic = _mm512_mask_mov_epi32(magic, bad, _mm512_set1_epi32(int(kNaNBits)));
    const __m512 scale = _mm512_castsi512_ps(_mm512_sub_epi32(e, _mm512_set1_epi32((mantissa - 2) << 23)));
    const __m512 limit = _mm512_maskz_mul_ps(__mmask16(~zero), _mm512_set1_ps(largest), scale);
    for (int i = 0; i < 3; i++) {
      const __m512i order = _mm512_load_si512(deal[i]);
      const __m512 m = _mm512_castsi512_ps(_mm512_permutexvar_epi32(order, magic));
      const __m512 high = _mm512_permutexvar_ps(order, limit), low = _mm512_sub_ps(_mm512_setzero_ps(), high);
      __m512 r = _mm512_sub_ps(_mm512_add_ps(v[i], m), m);
      r = _mm512_max_ps(low, _mm512_min_ps(high, r));  // a zero block has limit 0; NaN is the second operand and stays
      // An infinite block's limit is no number either: its magic made r NaN already.
      _mm512_mask_cvtepi32_storeu_epi16(to + n * 3 + 16 * i, lanes[i], _mm512_srli_epi32(_mm512_castps_si512(r), 16));
    }
  }
  return true;
}

}  // namespace

void use_avx512bf16(Kernels* set) {
  set->stem_tile_bf16 = stem_6x32__avx512bf16;
  set->round_rgb = round_rgb__avx512bf16;
}

}  // namespace dsconv
