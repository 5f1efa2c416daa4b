// AVX-512: epilogue and quantization of a granule in two halves (kernels.h, FinishArgs).
#pragma once

#include "kernels_512_bfp.h"

namespace dsconv {
namespace {

// One block of Vectors * 16 channels of 6 rows: the epilogue, and the largest magnitudes.
template <int Vectors, bool Scale, int Residual, bool Whole>  // Residual: 0 none, 1 f32, 2 image; Whole: 6 rows
DSCONV_INLINE void finish_first_block(FinishArgs& f, int n) {
  const FinishSpec& s = *f.spec;
  const FinishRows& p = *f.rows;
  const int64_t c0 = f.c0 + n * Vectors * 16, block = f.c0 / (Vectors * 16) + n, rows = Whole ? 6 : p.rows;
  float* const tile = f.tile + n * Vectors * 16;
  const __m512 lower = _mm512_set1_ps(s.lower), upper = _mm512_set1_ps(s.upper), none = _mm512_setzero_ps();
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  __m512i acc[6];
  __m512 bias[Vectors];
  DSCONV_UNROLL
  for (int v = 0; v < Vectors; v++) bias[v] = s.bias ? _mm512_loadu_ps(s.bias + c0 + 16 * v) : none;
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) {
    float* at = tile + r * f.ld;
    if (r >= rows) {
      acc[r] = acc[r ? r - 1 : 0];
      continue;
    }
    const __m512 scale = Residual == 2 ? _mm512_set1_ps(scale_of(p.residual_record[r][block], false)) : none;
    acc[r] = _mm512_setzero_si512();
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) {
      __m512 y = _mm512_loadu_ps(at + 16 * v);
      y = Scale ? _mm512_fmadd_ps(y, _mm512_loadu_ps(s.scale + c0 + 16 * v), bias[v]) : _mm512_add_ps(y, bias[v]);
      if (Residual == 1) y = _mm512_add_ps(y, _mm512_loadu_ps(p.residual[r] + c0 + 16 * v));
      if (Residual == 2) {
        const __m512i m = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p.residual_x[r] + c0 + 16 * v)));
        y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(m), scale, y);  // the product is exact
      }
      y = _mm512_min_ps(upper, _mm512_max_ps(lower, y));  // NaN is the second operand and stays
      _mm512_storeu_ps(at + 16 * v, y);
      acc[r] = _mm512_max_epu32(acc[r], _mm512_and_si512(_mm512_castps_si512(y), magnitude));
    }
  }
  if (s.has_f32) {
    for (int r = 0; r < rows; r++) {
      for (int v = 0; v < Vectors; v++) _mm512_storeu_ps(p.f32[r] + c0 + 16 * v, _mm512_loadu_ps(tile + r * f.ld + 16 * v));
    }
  }
  _mm512_store_si512(f.largest[n], reduce_rows<Max>(acc));
}

// Mantissas and records of the block.
template <int Vectors, bool Whole>
DSCONV_INLINE bool finish_second_block(FinishArgs& f, int n) {
  const FinishSpec& s = *f.spec;
  const FinishRows& p = *f.rows;
  const int64_t c0 = f.c0 + n * Vectors * 16, block = f.c0 / (Vectors * 16) + n, rows = Whole ? 6 : p.rows;
  const float* const tile = f.tile + n * Vectors * 16;
  const __m512i largest = _mm512_load_si512(f.largest[n]);
  const __m512i exponent = _mm512_and_si512(largest, _mm512_set1_epi32(0x7F800000));
  const __m512i biased = _mm512_srli_epi32(largest, 23);
  const uint32_t highest = uint32_t(kMaxMagicExponent + 127 + s.mantissa - 2);
  const __mmask16 special = _mm512_cmpgt_epu32_mask(_mm512_sub_epi32(biased, _mm512_set1_epi32(kMinBiased)), _mm512_set1_epi32(int(highest - kMinBiased)));
  if (__builtin_expect(special & 0x30F, 0)) {
    // Zero, NaN, infinity or huge somewhere: the general form does all rows.
    QuantizeArgs q;
    q.source = tile;
    q.ld = f.ld;
    q.rows = rows;
    q.length = Vectors * 16;
    for (int r = 0; r < rows; r++) {
      q.mantissas[r] = p.mantissas[r] + c0;
      q.records[r] = p.records[r] + block;
      q.sums[r] = nullptr;
    }
    q.mantissa = s.mantissa;
    q.storage = s.storage;
    q.plain = false;
    return quantize__avx512vnni(q);
  }
  alignas(64) float inverse[16];
  _mm512_store_si512(inverse, _mm512_sub_epi32(_mm512_set1_epi32((254 + s.mantissa - 2) << 23), exponent));
  const int limit = (1 << (s.mantissa - 1)) - 1;
  const __m512i high = _mm512_set1_epi8(char(limit)), low = _mm512_set1_epi8(char(-limit)), ones = _mm512_set1_epi8(1);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i acc[6];
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) {
    if (r >= rows) {
      acc[r] = acc[r ? r - 1 : 0];
      continue;
    }
    const __m512 scale = _mm512_set1_ps(inverse[kLaneOfRow[r]]);
    const float* from = tile + r * f.ld;
    acc[r] = _mm512_setzero_si512();
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v += 4) {
      const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16 * v), scale));
      const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16 * v + 16), scale));
      __m512i de = _mm512_setzero_si512();
      if (Vectors > 2) {
        const __m512i d = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16 * v + 32), scale));
        const __m512i e = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16 * v + 48), scale));
        de = _mm512_packs_epi32(d, e);
      }
      __m512i m = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(_mm512_packs_epi32(a, b), de));
      m = _mm512_min_epi8(_mm512_max_epi8(m, low), high);
      if (Vectors > 2) _mm512_storeu_si512(p.mantissas[r] + c0 + 16 * v, m);
      else _mm256_storeu_si256(reinterpret_cast<__m256i*>(p.mantissas[r] + c0 + 16 * v), _mm512_castsi512_si256(m));
      acc[r] = _mm512_dpbusd_epi32(acc[r], ones, m);
    }
  }
  const __m512i repay = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), reduce_rows<Add>(acc)), unsigned(s.storage - 1));
  const __m512i magic = _mm512_or_si512(_mm512_add_epi32(exponent, _mm512_set1_epi32((23 - (s.mantissa - 2)) << 23)), _mm512_set1_epi32(0x400000));
  const __m512i start = _mm512_add_epi32(magic, repay);
  // Pairs {start, magic}: rows 0, 1 and 4, 5 in the low halves, 2 and 3 in the high half of lane 0.
  alignas(64) uint64_t lo[8], hi[8];
  _mm512_store_si512(lo, _mm512_unpacklo_epi32(start, magic));
  _mm512_store_si512(hi, _mm512_unpackhi_epi32(start, magic));
  const uint64_t pairs[6] = {lo[0], lo[1], hi[0], hi[1], lo[4], lo[5]};
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) {
    if (r < rows) __builtin_memcpy(p.records[r] + block, &pairs[r], 8);
  }
  return false;
}

template <int Vectors, bool Scale, int Residual>
void finish_first_blocks(FinishArgs& f) {
  for (int n = 0; n < f.blocks; n++) {
    if (f.rows->rows == 6) finish_first_block<Vectors, Scale, Residual, true>(f, n);
    else finish_first_block<Vectors, Scale, Residual, false>(f, n);
  }
}

template <int Vectors, bool Scale>
void finish_first_form(FinishArgs& f) {
  switch (f.spec->residual_kind) {
    case 0: return finish_first_blocks<Vectors, Scale, 0>(f);
    case 1: return finish_first_blocks<Vectors, Scale, 1>(f);
    default: return finish_first_blocks<Vectors, Scale, 2>(f);
  }
}

void finish_first__avx512vnni(FinishArgs& f) {
  switch (f.spec->block) {
    case 32: return f.spec->scale ? finish_first_form<2, true>(f) : finish_first_form<2, false>(f);
    case 64: return f.spec->scale ? finish_first_form<4, true>(f) : finish_first_form<4, false>(f);
    default: return f.spec->scale ? finish_first_form<8, true>(f) : finish_first_form<8, false>(f);
  }
}

template <int Vectors>
bool finish_second_blocks(FinishArgs& f) {
  bool huge = false;
  for (int n = 0; n < f.blocks; n++) huge |= f.rows->rows == 6 ? finish_second_block<Vectors, true>(f, n) : finish_second_block<Vectors, false>(f, n);
  return huge;
}

bool finish_second__avx512vnni(FinishArgs& f) {
  return f.spec->block == 32 ? finish_second_blocks<2>(f) : f.spec->block == 64 ? finish_second_blocks<4>(f) : finish_second_blocks<8>(f);
}

}  // namespace
}  // namespace dsconv
