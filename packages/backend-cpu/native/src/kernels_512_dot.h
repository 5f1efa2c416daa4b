// AVX-512 VNNI: products of packed weights and mantissas.
#pragma once

#include "kernels_512_bfp.h"

namespace dsconv {
namespace {

DSCONV_INLINE __m512i broadcast_dword(const int8_t* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  __m512i x = _mm512_set1_epi32(v);
  asm("" : "+v"(x));  // one load for both vectors, not one in each dot product
  return x;
}

// A set of 4 depths of a weight vector.
template <int Storage, int Set>
DSCONV_INLINE __m512i unpack(__m512i w) {
  if (Storage == 8) return w;
  const __m512i mask = _mm512_set1_epi8((1 << Storage) - 1);
  return _mm512_and_si512(Set == 0 ? w : _mm512_srli_epi16(w, Set * Storage), mask);
}

// All sets of one step; Step: how many steps further on.
template <int Storage, int Rows, int Vectors, int Set, int Step>
DSCONV_INLINE void dot_sets(__m512i (&acc)[Rows][Vectors], const uint8_t* w, const int8_t* const (&x)[Rows]) {
  if constexpr (Set < 8 / Storage) {
    __m512i u[Vectors];
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) u[v] = unpack<Storage, Set>(_mm512_load_si512(w + 64 * (Step * Vectors + v)));
    DSCONV_UNROLL
    for (int r = 0; r < Rows; r++) {
      const __m512i a = broadcast_dword(x[r] + 4 * Set + Step * (32 / Storage));
      DSCONV_UNROLL
      for (int v = 0; v < Vectors; v++) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], u[v], a);
    }
    dot_sets<Storage, Rows, Vectors, Set + 1, Step>(acc, w, x);
  }
}

}  // namespace
}  // namespace dsconv
