// Plain AVX2. vpmaddubsw adds pairs of u8 * s8 products in 16 bits and saturates, so:
//   4 and 2 bits: a pair is at most 2 * 15 * 127 = 3810 in size, and 8 of them fit 16 bits exactly (8 * 3810 = 30480 < 32768): runs of 4 steps
//   (8 sets of 4 depths, or 16 of 2 bits) are added in 16 bits, then widened by vpmaddwd with ones, which joins the two halves of a channel's 4 depths.
//   8 bits: u8 up to 255 would saturate: weights and activations are widened to 16 bits and multiplied by vpmaddwd.
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
  static constexpr int kSets = 8 / Storage, kStepDepth = 4 * kSets, kStepsAtOnce = 4;
  typedef __m256i Sums[Rows][2];

  // Products of one set. The first of a run replace the sums.
  template <bool First, int Set>
  static DSCONV_INLINE void sets(Sums& sums, const uint8_t* w, const int8_t* const (&x)[Rows], int64_t at, __m256i& mask) {
    if constexpr (Set < kSets) {
      const __m256i u0 = unpack<Storage, Set>(w, mask), u1 = unpack<Storage, Set>(w + 32, mask);
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
      sets<First, Set + 1>(sums, w, x, at, mask);
    }
  }
  template <int Step>
  static DSCONV_INLINE void steps_from(Sums& sums, const uint8_t* w, size_t stride, const int8_t* const (&x)[Rows], int64_t at, __m256i& mask) {
    if constexpr (Step < kStepsAtOnce) {
      sets<Step == 0, 0>(sums, w, x, at + Step * kStepDepth, mask);
      steps_from<Step + 1>(sums, w + stride, stride, x, at, mask);
    }
  }
  static DSCONV_INLINE void widen(Sums& acc, const Sums& sums) {
    const __m256i ones = _mm256_set1_epi16(1);
    DSCONV_UNROLL
    for (int r = 0; r < Rows; r++) {
      acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(sums[r][0], ones));
      acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(sums[r][1], ones));
    }
  }
  static DSCONV_INLINE void run(Sums& acc, const uint8_t* w, size_t stride, const int8_t* const (&x)[Rows], int64_t steps) {
    __m256i mask = _mm256_set1_epi8((1 << Storage) - 1);
    int64_t at = 0;
    for (; steps >= kStepsAtOnce; steps -= kStepsAtOnce, at += kStepsAtOnce * kStepDepth, w += kStepsAtOnce * stride) {
      asm volatile("" : "+m"(acc));  // out of the registers
      Sums sums;
      steps_from<0>(sums, w, stride, x, at, mask);
      widen(acc, sums);
    }
    if (steps > 0) {
      asm volatile("" : "+m"(acc));
      Sums sums;
      sets<true, 0>(sums, w, x, at, mask);
      while (--steps) sets<false, 0>(sums, w += stride, x, at += kStepDepth, mask);
      widen(acc, sums);
    }
  }
};

// 8 bits: a vector of 8 channels by 4 depths becomes two of 4 channels by 4 words; sums of the two pairs of a channel are joined at the end.
template <int Rows>
struct Dots<8, Rows> {
  static DSCONV_INLINE void run(__m256i (&acc)[Rows][2], const uint8_t* w, size_t stride, const int8_t* const (&x)[Rows], int64_t steps) {
    for (int v = 0; v < 2; v++) {
      __m256i wide[Rows][2];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) wide[r][0] = wide[r][1] = _mm256_setzero_si256();
      const uint8_t* from = w + 32 * v;
      for (int64_t step = 0; step < steps; step++, from += stride) {
        const __m256i low = _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(from)));
        const __m256i high = _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(from + 16)));
        DSCONV_UNROLL
        for (int r = 0; r < Rows; r++) {
          int32_t four;
          __builtin_memcpy(&four, x[r] + 4 * step, 4);
          const __m256i a = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
          wide[r][0] = _mm256_add_epi32(wide[r][0], _mm256_madd_epi16(low, a));
          wide[r][1] = _mm256_add_epi32(wide[r][1], _mm256_madd_epi16(high, a));
        }
      }
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        // hadd joins pairs within 128-bit lanes: channels 0 1 4 5 | 2 3 6 7.
        const __m256i joined = _mm256_permute4x64_epi64(_mm256_hadd_epi32(wide[r][0], wide[r][1]), 0xD8);
        acc[r][v] = _mm256_add_epi32(acc[r][v], joined);
      }
    }
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
      epilogue_256, quantize_256, nullptr, nullptr, decode_256,
      stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
  };
  return &set;
}

}  // namespace dsconv
