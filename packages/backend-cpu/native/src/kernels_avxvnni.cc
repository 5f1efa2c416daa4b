// AVX-VNNI: vpdpbusd on 256 bits.
#include <immintrin.h>

#include "kernels.h"

namespace dsconv {
namespace {

constexpr int kRowsAtOnce = 6;
template <int Storage, int Rows>
struct Dots;

}  // namespace
}  // namespace dsconv

#include "kernels_256.h"

namespace dsconv {
namespace {

template <int Storage, int Rows>
struct Dots {
  template <int Set>
  static DSCONV_INLINE void sets(__m256i (&acc)[Rows][2], const uint8_t* w, const int8_t* const (&x)[Rows]) {
    if constexpr (Set < 8 / Storage) {
      const __m256i u0 = unpack<Storage, Set>(_mm256_load_si256(reinterpret_cast<const __m256i*>(w)));
      const __m256i u1 = unpack<Storage, Set>(_mm256_load_si256(reinterpret_cast<const __m256i*>(w + 32)));
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const __m256i a = broadcast_dword(x[r] + 4 * Set);
        acc[r][0] = _mm256_dpbusd_avx_epi32(acc[r][0], u0, a);
        acc[r][1] = _mm256_dpbusd_avx_epi32(acc[r][1], u1, a);
      }
      sets<Set + 1>(acc, w, x);
    }
  }
  static DSCONV_INLINE void run(__m256i (&acc)[Rows][2], const uint8_t* w, size_t stride, const int8_t* (&x)[Rows], int steps) {
    for (int step = 0; step < steps; step++, w += stride) {
      sets<0>(acc, w, x);
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) x[r] += 32 / Storage;
    }
  }
};

void dsconv2d_6x16_2__avxvnni(const TileArgs& a) { tile_256<2>(a); }
void dsconv2d_6x16_4__avxvnni(const TileArgs& a) { tile_256<4>(a); }
void dsconv2d_6x16_8__avxvnni(const TileArgs& a) { tile_256<8>(a); }

}  // namespace

const Kernels* kernels_avxvnni() {
  static const Kernels set = {
      "avxvnni",
      {dsconv2d_6x16_2__avxvnni, dsconv2d_6x16_4__avxvnni, dsconv2d_6x16_8__avxvnni},
      epilogue_256, quantize_256, nullptr, nullptr, decode_256,
      stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
  };
  return &set;
}

}  // namespace dsconv
