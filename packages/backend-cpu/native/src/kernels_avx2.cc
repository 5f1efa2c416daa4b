// Plain AVX2. vpmaddubsw adds pairs of u8 * s8 products in 16 bits and saturates, so:
//   4 and 2 bits: a pair is at most 2 * 15 * 128 = 3840 in size, and 8 of them fit 16 bits exactly (8 * 3840 = 30720 < 32768): 8 sets of 4 depths
//   (2 products a lane each) are added in 16 bits, then widened by vpmaddwd with ones, which joins the two halves of a channel's 4 depths.
//   8 bits: u8 up to 255 would saturate: weights and activations are widened to 16 bits and multiplied by vpmaddwd.
#include <immintrin.h>

#include "kernels.h"

namespace dsconv {
namespace {

constexpr int kRowsAtOnce = 3;
template <int Storage, int Rows>
struct Dots;

}  // namespace
}  // namespace dsconv

#include "kernels_256.h"

namespace dsconv {
namespace {

template <int Storage, int Rows>
struct Dots {
  static constexpr int kSets = 8 / Storage, kStepsAtOnce = 8 / kSets;
  template <int Set>
  static DSCONV_INLINE void sets(__m256i (&short_acc)[Rows][2], const uint8_t* w, const int8_t* const (&x)[Rows]) {
    if constexpr (Set < kSets) {
      const __m256i u0 = unpack<Storage, Set>(_mm256_load_si256(reinterpret_cast<const __m256i*>(w)));
      const __m256i u1 = unpack<Storage, Set>(_mm256_load_si256(reinterpret_cast<const __m256i*>(w + 32)));
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const __m256i a = broadcast_dword(x[r] + 4 * Set);
        short_acc[r][0] = _mm256_add_epi16(short_acc[r][0], _mm256_maddubs_epi16(u0, a));
        short_acc[r][1] = _mm256_add_epi16(short_acc[r][1], _mm256_maddubs_epi16(u1, a));
      }
      sets<Set + 1>(short_acc, w, x);
    }
  }
  static DSCONV_INLINE void run(__m256i (&acc)[Rows][2], const uint8_t* w, size_t stride, const int8_t* (&x)[Rows], int steps) {
    const __m256i ones = _mm256_set1_epi16(1);
    for (int step = 0; step < steps;) {
      const int end = min_of(steps, step + kStepsAtOnce);
      __m256i short_acc[Rows][2];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) short_acc[r][0] = short_acc[r][1] = _mm256_setzero_si256();
      for (; step < end; step++, w += stride) {
        sets<0>(short_acc, w, x);
        DSCONV_UNROLL
        for (int r = 0; r < Rows; r++) x[r] += 32 / Storage;
      }
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(short_acc[r][0], ones));
        acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(short_acc[r][1], ones));
      }
    }
  }
};

// 8 bits: a vector of 8 channels by 4 depths becomes two of 4 channels by 4 words; sums of the two pairs of a channel are joined at the end.
template <int Rows>
struct Dots<8, Rows> {
  static DSCONV_INLINE void run(__m256i (&acc)[Rows][2], const uint8_t* w, size_t stride, const int8_t* (&x)[Rows], int steps) {
    for (int v = 0; v < 2; v++) {
      __m256i wide[Rows][2];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) wide[r][0] = wide[r][1] = _mm256_setzero_si256();
      const uint8_t* from = w + 32 * v;
      for (int step = 0; step < steps; step++, from += stride) {
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

void dsconv2d_3x16_2__avx2(const TileArgs& a) { tile_256<2>(a); }
void dsconv2d_3x16_4__avx2(const TileArgs& a) { tile_256<4>(a); }
void dsconv2d_3x16_8__avx2(const TileArgs& a) { tile_256<8>(a); }

}  // namespace

const Kernels* kernels_avx2() {
  static const Kernels set = {
      "avx2",
      {dsconv2d_3x16_2__avx2, dsconv2d_3x16_4__avx2, dsconv2d_3x16_8__avx2},
      epilogue_256, quantize_256, nullptr, nullptr, decode_256,
      stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
  };
  return &set;
}

}  // namespace dsconv
