// AVX-512: epilogue, BFP quantization and decoding of whole runs of rows.
#pragma once

#include <immintrin.h>

#include "kernels_vector.h"

namespace dsconv {
namespace {

#define DSCONV_INLINE inline __attribute__((always_inline))
#define DSCONV_UNROLL _Pragma("GCC unroll 8")

DSCONV_INLINE __m512i load(const void* p) { return _mm512_loadu_si512(p); }

// ---- epilogue --------------------------------------------------------------------------------------------------------------

template <int Act, bool Residual, bool Scale>
void epilogue_form(const EpilogueArgs& e) {
  const __m512 zero = _mm512_setzero_ps(), six = _mm512_set1_ps(6.0f), uniform = _mm512_set1_ps(e.alpha);
  for (int c = 0; c < e.channels; c += 16) {
    const __mmask16 lanes = e.channels - c >= 16 ? 0xFFFF : __mmask16((1 << (e.channels - c)) - 1);
    const __m512 bias = e.bias ? _mm512_loadu_ps(e.bias + c) : zero;
    const __m512 scale = Scale ? _mm512_loadu_ps(e.scale + c) : zero;
    const __m512 alpha = Act == kPrelu ? _mm512_loadu_ps(e.alphas + c) : uniform;
    for (int r = 0; r < e.rows; r++) {
      float* at = e.tile + r * e.ld + c;
      __m512 v = _mm512_maskz_loadu_ps(lanes, at);
      v = Scale ? _mm512_fmadd_ps(v, scale, bias) : _mm512_add_ps(v, bias);
      if (Residual) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, e.residual[r] + c));
      // max and min give their second operand where one is NaN.
      if (Act == kRelu || Act == kRelu6) v = _mm512_max_ps(zero, v);
      if (Act == kRelu6) v = _mm512_min_ps(six, v);
      if (Act == kLeakyRelu || Act == kPrelu) v = _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ), v, alpha);
      _mm512_mask_storeu_ps(at, lanes, v);
    }
  }
}

template <int Act>
void epilogue_act(const EpilogueArgs& e) {
  if (e.has_residual) {
    if (e.scale) epilogue_form<Act, true, true>(e);
    else epilogue_form<Act, true, false>(e);
  } else {
    if (e.scale) epilogue_form<Act, false, true>(e);
    else epilogue_form<Act, false, false>(e);
  }
}

void epilogue__avx512vnni(const EpilogueArgs& e) {
  switch (e.activation) {
    case kLinear: return epilogue_act<kLinear>(e);
    case kRelu: return epilogue_act<kRelu>(e);
    case kRelu6: return epilogue_act<kRelu6>(e);
    case kLeakyRelu: return epilogue_act<kLeakyRelu>(e);
    case kPrelu: return epilogue_act<kPrelu>(e);
    default: return epilogue_scalar(e);
  }
}

// ---- block floating point ----------------------------------------------------------------------------------------------------

struct Max {
  static __m512i of(__m512i a, __m512i b) { return _mm512_max_epu32(a, b); }
};
struct Add {
  static __m512i of(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
};

// Six vectors to one: lanes 0..3 hold the reductions of rows 0..3, lanes 8 and 9 those of rows 4 and 5.
template <typename Op>
DSCONV_INLINE __m512i reduce_rows(const __m512i (&m)[6]) {
  __m512i p[3];
  DSCONV_UNROLL
  for (int n = 0; n < 3; n++) p[n] = Op::of(_mm512_unpacklo_epi32(m[2 * n], m[2 * n + 1]), _mm512_unpackhi_epi32(m[2 * n], m[2 * n + 1]));
  const __m512i x = Op::of(_mm512_unpacklo_epi64(p[0], p[1]), _mm512_unpackhi_epi64(p[0], p[1]));
  const __m512i y = Op::of(p[2], _mm512_unpackhi_epi64(p[2], p[2]));
  const __m512i z = Op::of(_mm512_shuffle_i32x4(x, y, 0x44), _mm512_shuffle_i32x4(x, y, 0xEE));
  return Op::of(z, _mm512_shuffle_i32x4(z, z, 0xB1));
}
constexpr int kLaneOfRow[6] = {0, 1, 2, 3, 8, 9};

bool quantize__avx512vnni(const QuantizeArgs& q) {
  const float* x[6];
  int8_t* to[6];
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) {
    const int row = r < q.rows ? r : q.rows - 1;  // surplus rows repeat the last
    x[r] = q.source + row * q.ld;
    to[r] = q.mantissas[row];
  }
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  __m512i acc[6];
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) acc[r] = _mm512_setzero_si512();
  const int whole = q.length & ~15;
  const __mmask16 tail = __mmask16((1 << (q.length & 15)) - 1);
  for (int c = 0; c < whole; c += 16) {
    DSCONV_UNROLL
    for (int r = 0; r < 6; r++) acc[r] = _mm512_max_epu32(acc[r], _mm512_and_si512(load(x[r] + c), magnitude));
  }
  if (tail) {
    DSCONV_UNROLL
    for (int r = 0; r < 6; r++) acc[r] = _mm512_max_epu32(acc[r], _mm512_and_si512(_mm512_maskz_loadu_epi32(tail, x[r] + whole), magnitude));
  }
  const __m512i largest = reduce_rows<Max>(acc);
  const __m512i exponent = _mm512_and_si512(largest, _mm512_set1_epi32(0x7F800000));
  // Blocks outside of the magic form's range (zero, NaN, infinity, huge) are rare and done one by one at the end.
  const uint32_t highest = uint32_t(kMaxMagicExponent + 127 + q.mantissa - 2);
  const __m512i biased = _mm512_srli_epi32(largest, 23);
  const __mmask16 special = _mm512_cmpgt_epu32_mask(_mm512_sub_epi32(biased, _mm512_set1_epi32(kMinBiased)), _mm512_set1_epi32(int(highest - kMinBiased)));
  const __mmask16 dead = _mm512_cmplt_epu32_mask(biased, _mm512_set1_epi32(kMinBiased)) | _mm512_cmpeq_epi32_mask(biased, _mm512_set1_epi32(255));
  alignas(64) float inverse[16];
  _mm512_store_si512(inverse, _mm512_maskz_sub_epi32(__mmask16(~dead), _mm512_set1_epi32((254 + q.mantissa - 2) << 23), exponent));

  const int limit = (1 << (q.mantissa - 1)) - 1;
  const __m512i high8 = _mm512_set1_epi8(char(limit)), low8 = _mm512_set1_epi8(char(-limit)), ones = _mm512_set1_epi8(1);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) acc[r] = _mm512_setzero_si512();
  int c = 0;
  for (; c + 64 <= q.length; c += 64) {
    DSCONV_UNROLL
    for (int r = 0; r < 6; r++) {
      const __m512 s = _mm512_set1_ps(inverse[kLaneOfRow[r]]);
      const float* from = x[r] + c;
      const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from), s)), b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16), s));
      const __m512i d = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 32), s)), e = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 48), s));
      __m512i m = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(d, e)));
      m = _mm512_min_epi8(_mm512_max_epi8(m, low8), high8);
      _mm512_storeu_si512(to[r] + c, m);
      acc[r] = _mm512_dpbusd_epi32(acc[r], ones, m);
    }
  }
  for (; c < q.length; c += 16) {
    const __mmask16 lanes = q.length - c >= 16 ? 0xFFFF : tail;
    const __m512i high = _mm512_set1_epi32(limit), low = _mm512_set1_epi32(-limit);
    DSCONV_UNROLL
    for (int r = 0; r < 6; r++) {
      const __m512 s = _mm512_set1_ps(inverse[kLaneOfRow[r]]);
      __m512i m = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x[r] + c), s));
      m = _mm512_min_epi32(_mm512_max_epi32(m, low), high);
      _mm512_mask_cvtepi32_storeu_epi8(to[r] + c, lanes, m);
      acc[r] = _mm512_mask_add_epi32(acc[r], lanes, acc[r], m);
    }
  }
  const __m512i sums = reduce_rows<Add>(acc);
  const __m512i repay = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), sums), unsigned(q.storage - 1));
  alignas(64) int32_t start[16], magic[16];
  if (q.plain) {
    _mm512_store_si512(start, repay);
    _mm512_store_si512(magic, _mm512_sub_epi32(exponent, _mm512_set1_epi32((q.mantissa - 2) << 23)));
  } else {
    const __m512i bits = _mm512_or_si512(_mm512_add_epi32(exponent, _mm512_set1_epi32((23 - (q.mantissa - 2)) << 23)), _mm512_set1_epi32(0x400000));
    _mm512_store_si512(magic, bits);
    _mm512_store_si512(start, _mm512_add_epi32(bits, repay));
  }
  for (int r = 0; r < q.rows; r++) *q.records[r] = {start[kLaneOfRow[r]], uint32_t(magic[kLaneOfRow[r]])};
  bool huge = false;
  if ((special | dead) & 0x30F) {
    alignas(64) uint32_t bits[16];
    alignas(64) int32_t total[16];
    _mm512_store_si512(bits, largest);
    _mm512_store_si512(total, sums);
    for (int r = 0; r < q.rows; r++) {
      const int lane = kLaneOfRow[r];
      const bool is_dead = (dead >> lane) & 1;
      if (!(((special | dead) >> lane) & 1)) continue;
      if (is_dead) std::memset(q.mantissas[r], 0, q.length);  // infinity * 0 was NaN
      *q.records[r] = record_of(bits[lane], is_dead ? 0 : total[lane], q.mantissa, q.storage, q.plain, &huge);
    }
  }
  if (q.sums[0]) {
    alignas(64) int32_t total[16];
    _mm512_store_si512(total, sums);
    for (int r = 0; r < q.rows; r++) {
      const bool is_dead = (dead >> kLaneOfRow[r]) & 1;
      *q.sums[r] = scale_of(*q.records[r], q.plain) * (is_dead ? 0.0f : float(total[kLaneOfRow[r]]));
    }
  }
  return huge;
}

void decode__avx512vnni(const DecodeArgs& d) {
  for (int c0 = 0, j = 0; c0 < d.length; c0 += d.block, j++) {
    const int end = min_of(d.length, c0 + d.block);
    const __m512 scale = _mm512_set1_ps(scale_of(d.records[j], d.plain));
    int c = c0;
    for (; c + 16 <= end; c += 16) {
      const __m512i m = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(d.mantissas + c)));
      _mm512_storeu_ps(d.out + c, _mm512_mul_ps(_mm512_cvtepi32_ps(m), scale));
    }
    if (c < end) {
      const __mmask16 lanes = __mmask16((1 << (end - c)) - 1);
      const __m512i m = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, d.mantissas + c));
      _mm512_mask_storeu_ps(d.out + c, lanes, _mm512_mul_ps(_mm512_cvtepi32_ps(m), scale));
    }
  }
}

}  // namespace
}  // namespace dsconv
