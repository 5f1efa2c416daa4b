// AVX-VNNI: vpdpbusd on 256 bits.
#include <immintrin.h>

#include "kernels.h"

namespace dsconv {
namespace {

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
  static DSCONV_INLINE void sets(__m256i (&acc)[Rows][2], const uint8_t* w, const int8_t* const (&x)[Rows], int64_t at, __m256i& mask) {
    if constexpr (Set < 8 / Storage) {
      __m256i u0, u1;
      if constexpr (Storage == 8) {
        u0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
        u1 = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + 32));
      } else {
        u0 = unpack<Set * Storage>(w, mask);
        u1 = unpack<Set * Storage>(w + 32, mask);
      }
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        __m256i four;
        asm volatile("vpbroadcastd %[x], %[four]\n\t%{vex%} vpdpbusd %[four], %[u0], %[s0]\n\t%{vex%} vpdpbusd %[four], %[u1], %[s1]"
                     : [s0] "+x"(acc[r][0]), [s1] "+x"(acc[r][1]), [four] "=&x"(four)
                     : [u0] "x"(u0), [u1] "x"(u1), [x] "m"(*reinterpret_cast<const Four*>(x[r] + at + 4 * Set)));
      }
      sets<Set + 1>(acc, w, x, at, mask);
    }
  }
  static DSCONV_INLINE void run(__m256i (&acc)[Rows][2], const uint8_t* w, size_t stride, const int8_t* const (&x)[Rows], int64_t steps) {
    __m256i mask = _mm256_set1_epi8((1 << (Storage & 7)) - 1);
    for (int64_t at = 0; at < steps * (32 / Storage); at += 32 / Storage, w += stride) sets<0>(acc, w, x, at, mask);
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
      epilogue_256, quantize_256, finish_first_256, finish_second_256, decode_256,
      stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
  };
  return &set;
}

}  // namespace dsconv
