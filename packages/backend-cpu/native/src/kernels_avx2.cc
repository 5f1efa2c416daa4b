// Plain AVX2. vpmaddubsw adds pairs of u8 * s8 products in 16 bits and saturates, so:
//   4 and 2 bits: a pair is at most 2 * 15 * 127 = 3810 in size, and 8 of them fit 16 bits exactly (8 * 3810 = 30480 < 32768): runs of 4 steps
//   (8 sets of 4 depths, or 16 of 2 bits) are added in 16 bits, then widened by vpmaddwd with ones, which joins the two halves of a channel's 4 depths.
//   8 bits: u8 up to 255 would saturate: the halves of the bytes are multiplied one after the other, and the upper sums widened with sixteens.
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
  static constexpr int kBits = min_of(Storage, 4), kPasses = Storage / kBits, kSets = 8 / Storage, kStepDepth = 4 * kSets, kStepsAtOnce = Storage == 8 ? 8 : 4;
  typedef __m256i Sums[Rows][2];

  // Products of the sets of a step. The first of a run replace the sums.
  template <int Pass, bool First, int Set>
  static DSCONV_INLINE void sets(Sums& sums, const uint8_t* w, const int8_t* const (&x)[Rows], int64_t at, __m256i& mask) {
    if constexpr (Set < kSets) {
      constexpr int shift = (Pass + Set) * kBits;
      const __m256i u0 = unpack<shift>(w, mask), u1 = unpack<shift>(w + 32, mask);
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const Four& from = *reinterpret_cast<const Four*>(x[r] + at + 4 * Set);
        __m256i four, product;
        if (First && Set == 0) {
          asm volatile("vpbroadcastd %[x], %[s1]\n\tvpmaddubsw %[s1], %[u0], %[s0]\n\tvpmaddubsw %[s1], %[u1], %[s1]"
                       : [s0] "=&x"(sums[r][0]), [s1] "=&x"(sums[r][1])
                       : [u0] "x"(u0), [u1] "x"(u1), [x] "m"(from));
        } else {
          asm volatile("vpbroadcastd %[x], %[four]\n\tvpmaddubsw %[four], %[u0], %[product]\n\tvpmaddubsw %[four], %[u1], %[four]\n\t"
                       "vpaddw %[product], %[s0], %[s0]\n\tvpaddw %[four], %[s1], %[s1]"
                       : [s0] "+x"(sums[r][0]), [s1] "+x"(sums[r][1]), [four] "=&x"(four), [product] "=&x"(product)
                       : [u0] "x"(u0), [u1] "x"(u1), [x] "m"(from));
        }
      }
      sets<Pass, First, Set + 1>(sums, w, x, at, mask);
    }
  }
  template <int Pass, int Step>
  static DSCONV_INLINE void steps_from(Sums& sums, const uint8_t* w, size_t stride, const int8_t* const (&x)[Rows], int64_t at, __m256i& mask) {
    if constexpr (Step < kStepsAtOnce) {
      sets<Pass, Step == 0, 0>(sums, w, x, at + Step * kStepDepth, mask);
      steps_from<Pass, Step + 1>(sums, w + stride, stride, x, at, mask);
    }
  }
  // The sums of kStepsAtOnce steps, or fewer.
  template <bool Full, int Pass>
  static DSCONV_INLINE void add_steps(Sums& acc, const uint8_t* w, size_t stride, const int8_t* const (&x)[Rows], int64_t at, int64_t steps, __m256i& mask) {
    if constexpr (Pass < kPasses) {
      asm volatile("" : "+m"(acc));  // out of the registers
      Sums sums;
      if constexpr (Full) {
        steps_from<Pass, 0>(sums, w, stride, x, at, mask);
      } else {
        sets<Pass, true, 0>(sums, w, x, at, mask);
        for (int64_t step = 1; step < steps; step++) sets<Pass, false, 0>(sums, w + step * stride, x, at + step * kStepDepth, mask);
      }
      const __m256i factor = _mm256_set1_epi16(Pass == 0 ? 1 : 16);
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(sums[r][0], factor));
        acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(sums[r][1], factor));
      }
      add_steps<Full, Pass + 1>(acc, w, stride, x, at, steps, mask);
    }
  }
  static DSCONV_INLINE void run(Sums& acc, const uint8_t* w, size_t stride, const int8_t* const (&x)[Rows], int64_t steps) {
    __m256i mask = _mm256_set1_epi8((1 << kBits) - 1);
    int64_t at = 0;
    for (; steps >= kStepsAtOnce; steps -= kStepsAtOnce, at += kStepsAtOnce * kStepDepth, w += kStepsAtOnce * stride) add_steps<true, 0>(acc, w, stride, x, at, steps, mask);
    if (steps > 0) add_steps<false, 0>(acc, w, stride, x, at, steps, mask);
  }
};

void dsconv2d_6x16_2__avx2(const TileArgs& a) { tile_256<2>(a); }
void dsconv2d_6x16_4__avx2(const TileArgs& a) { tile_256<4>(a); }
void dsconv2d_6x16_8__avx2(const TileArgs& a) { tile_256<8>(a); }

}  // namespace

const Kernels* kernels_avx2() {
  static const Kernels set = {
      "avx2",
      {dsconv2d_6x16_2__avx2, dsconv2d_6x16_4__avx2, dsconv2d_6x16_8__avx2},
      epilogue_256, quantize_256, finish_first_256, finish_second_256, decode_256,
      stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
  };
  return &set;
}

}  // namespace dsconv
