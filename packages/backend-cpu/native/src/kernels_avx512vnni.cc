// AVX-512 with VNNI. The inner tile is 6 pixels by 32 channels: 12 accumulators, 12 float sums, 2 weight vectors, 1 broadcast, 1 mask.
#include <immintrin.h>

#define DSCONV_VECTOR_ROWS 6
#include "kernels_512_depthwise.h"
#include "kernels_512_pipeline.h"
#include "kernels_512_short.h"

namespace dsconv {
namespace {

template <int Storage, int Rows, int Vectors, bool Plain, bool PerBlock>
void tile(const TileArgs& a, const uint8_t* weights, const float* all_scales, float* out) {
  __m512 sum[Rows][Vectors];
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) sum[r][v] = _mm512_setzero_ps();
  }
  const TapRows* const end = a.taps + a.tap_count;
  for (const TapRows* tap = a.taps; tap != end; tap++) {
    const int8_t* x[Rows];
    DSCONV_UNROLL
    for (int r = 0; r < Rows; r++) x[r] = tap->x[r];
    const uint8_t* w = weights + tap->tap * a.tap_weights * Vectors;
    const float* scales = PerBlock ? all_scales + tap->tap * a.tap_scales * Vectors : nullptr;
    for (int64_t j = 0; j < a.blocks; j++) {
      __m512i acc[Rows][Vectors];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const __m512i start = _mm512_set1_epi32(tap->record[r][j].start);
        DSCONV_UNROLL
        for (int v = 0; v < Vectors; v++) acc[r][v] = start;
      }
      const int steps = j == a.blocks - 1 ? a.last_steps : a.steps;
      int step = 0;
      for (; step + 4 <= steps; step += 4) {
        dot_sets<Storage, Rows, Vectors, 0, 0>(acc, w, x);
        dot_sets<Storage, Rows, Vectors, 0, 1>(acc, w, x);
        dot_sets<Storage, Rows, Vectors, 0, 2>(acc, w, x);
        dot_sets<Storage, Rows, Vectors, 0, 3>(acc, w, x);
        w += 4 * 64 * Vectors;
        DSCONV_UNROLL
        for (int r = 0; r < Rows; r++) x[r] += 4 * 32 / Storage;
      }
      for (; step < steps; step++) {
        dot_sets<Storage, Rows, Vectors, 0, 0>(acc, w, x);
        w += 64 * Vectors;
        DSCONV_UNROLL
        for (int r = 0; r < Rows; r++) x[r] += 32 / Storage;
      }
      const int back = a.block - steps * (32 / Storage);
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        x[r] += back;
        const __m512 magic = _mm512_castsi512_ps(_mm512_set1_epi32(int32_t(tap->record[r][j].magic)));
        DSCONV_UNROLL
        for (int v = 0; v < Vectors; v++) {
          if (Plain) {
            // Convert, multiply by the filter's scale first: P times a huge activation scale alone could overflow.
            __m512 p = _mm512_cvtepi32_ps(acc[r][v]);
            if (PerBlock) p = _mm512_mul_ps(p, _mm512_load_ps(scales + 16 * v));
            sum[r][v] = _mm512_fmadd_ps(p, magic, sum[r][v]);
          } else {
            // The accumulator already is the float magic + P * scale.
            const __m512 p = _mm512_sub_ps(_mm512_castsi512_ps(acc[r][v]), magic);
            sum[r][v] = PerBlock ? _mm512_fmadd_ps(p, _mm512_load_ps(scales + 16 * v), sum[r][v]) : _mm512_add_ps(p, sum[r][v]);
          }
        }
      }
      scales += PerBlock ? 16 * Vectors : 0;
    }
  }
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) _mm512_storeu_ps(out + r * a.ldo + 16 * v, sum[r][v]);
  }
}

// The shift biases: out += ΣM * scale * shift, rarely used.
void add_shifts(const TileArgs& a, int first, int vectors) {
  for (int r = 0; r < a.count; r++) {
    for (int v = 0; v < vectors; v++) {
      float* out = a.out + r * a.ldo + 16 * (first + v);
      __m512 sum = _mm512_loadu_ps(out);
      for (int t = 0; t < a.tap_count; t++) {
        const float* totals = a.sums + (a.taps[t].record[r] - a.records);
        const float* shift = a.shifts + first * a.vector_scales + a.taps[t].tap * a.tap_scales * vectors + 16 * v;
        for (int j = 0; j < a.blocks; j++) sum = _mm512_fmadd_ps(_mm512_set1_ps(totals[j]), _mm512_load_ps(shift + 16 * vectors * j), sum);
      }
      _mm512_storeu_ps(out, sum);
    }
  }
}

// All channel tiles of the run.
template <int Storage, int Rows, bool Plain, bool PerBlock>
void tiles(const TileArgs& a) {
  int v = 0;
  for (; v + 2 <= a.vectors; v += 2) tile<Storage, Rows, 2, Plain, PerBlock>(a, a.weights + v * a.vector_weights, a.scales + v * a.vector_scales, a.out + 16 * v);
  if (v < a.vectors) tile<Storage, Rows, 1, Plain, PerBlock>(a, a.weights + v * a.vector_weights, a.scales + v * a.vector_scales, a.out + 16 * v);
}

template <int Storage, int Rows>
void tile_forms(const TileArgs& a) {
  if (a.scales) {
    if (a.plain) tiles<Storage, Rows, true, true>(a);
    else tiles<Storage, Rows, false, true>(a);
  } else {
    if (a.plain) tiles<Storage, Rows, true, false>(a);
    else tiles<Storage, Rows, false, false>(a);
  }
}

template <int Storage>
void dsconv2d_6x32__avx512vnni(const TileArgs& a) {
  switch (a.count) {
    case 6: tile_forms<Storage, 6>(a); break;
    case 5: tile_forms<Storage, 5>(a); break;
    case 4: tile_forms<Storage, 4>(a); break;
    case 3: tile_forms<Storage, 3>(a); break;
    case 2: tile_forms<Storage, 2>(a); break;
    default: tile_forms<Storage, 1>(a); break;
  }
  if (a.shifts) {
    for (int v = 0; v < a.vectors; v += 2) add_shifts(a, v, min_of(2, a.vectors - v));
  }
}

}  // namespace

const Kernels* kernels_avx512vnni() {
  static const Kernels set = [] {
    Kernels k = {
        "avx512vnni",
        {dsconv2d_6x32__avx512vnni<2>, dsconv2d_6x32__avx512vnni<4>, dsconv2d_6x32__avx512vnni<8>},
        epilogue__avx512vnni, quantize__avx512vnni, finish_first__avx512vnni, finish_second__avx512vnni, decode__avx512vnni,
        stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
        finish_fused__avx512vnni, {dsconv2d_short__avx512vnni<2>, dsconv2d_short__avx512vnni<4>, dsconv2d_short__avx512vnni<8>},
        {dsconv2d_halves__avx512vnni<2>, dsconv2d_halves__avx512vnni<4>, dsconv2d_halves__avx512vnni<8>},
        depthwise_fused__avx512vnni, decode_pixels__avx512vnni,
    };
    if (__builtin_cpu_supports("avx512bf16")) use_avx512bf16(&k);
    return k;
  }();
  return &set;
}

}  // namespace dsconv
