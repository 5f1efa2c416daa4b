// AVX-512 with VNNI. The inner tile is 6 pixels by 32 channels: 12 accumulators, 12 float sums, 2 weight vectors, 1 broadcast, 1 mask.
#include <immintrin.h>

#define DSCONV_VECTOR_ROWS 6
#include "kernels_512_depthwise.h"
#include "kernels_512_pipeline.h"

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

// ---- one tap, one block -------------------------------------------------------------------------------------------------------

// No float sums to keep, so that 64 channels fit the registers, from the first product to the mantissas.
template <int Storage, int Tiles, int Vectors, bool PerBlock>
void short_run(const TileArgs& a, FusedArgs& f, int v0, const Run& run) {
  __m512i acc[Tiles][kTileRows][Vectors];
  const int8_t* x[kTileRows];
  const uint8_t* w[Tiles];
  DSCONV_UNROLL
  for (int n = 0; n < Tiles; n++) w[n] = a.weights + (v0 + 2 * n) * a.vector_weights;
  DSCONV_UNROLL
  for (int r = 0; r < kTileRows; r++) {
    x[r] = a.taps->x[r];
    const __m512i start = _mm512_set1_epi32(a.taps->record[r]->start);
    DSCONV_UNROLL
    for (int n = 0; n < Tiles; n++) {
      DSCONV_UNROLL
      for (int v = 0; v < Vectors; v++) acc[n][r][v] = start;
    }
  }
  for (int steps = a.last_steps; steps > 0; steps--) {
    DSCONV_UNROLL
    for (int n = 0; n < Tiles; n++) {
      dot_sets<Storage, kTileRows, Vectors, 0, 0>(acc[n], w[n], x);
      w[n] += 64 * Vectors;
    }
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) x[r] += 32 / Storage;
  }
  const float* const scales = a.scales + v0 * a.vector_scales;
  const float* const bias = f.spec->bias;
  __m512 y[kTileRows][Tiles * Vectors];
  DSCONV_UNROLL
  for (int v = 0; v < Tiles * Vectors; v++) {
    const __m512 scale = PerBlock ? _mm512_load_ps(scales + 16 * v) : _mm512_setzero_ps(), begin = PerBlock && bias ? _mm512_loadu_ps(bias + run.channel() + 16 * v) : _mm512_setzero_ps();
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) {
      // The accumulator already is the float magic + P * scale.
      const __m512 p = _mm512_sub_ps(_mm512_castsi512_ps(acc[v / Vectors][r][v % Vectors]), _mm512_castsi512_ps(_mm512_set1_epi32(int32_t(a.taps->record[r]->magic))));
      y[r][v] = PerBlock ? _mm512_fmadd_ps(p, scale, begin) : p;
    }
  }
  finish_channels<Tiles * Vectors, !PerBlock>(f, y, run);
}

template <int Storage, bool PerBlock>
void short_runs(const TileArgs& a, FusedArgs& f, int c0) {
  each_run(*f.spec, c0, min_of(16 * a.vectors, f.spec->channels - c0), [&](int vectors, const Run& run) {
    const int v = (run.channel() - c0) / 16;
    switch (vectors) {
      case 4: return short_run<Storage, 2, 2, PerBlock>(a, f, v, run);
      case 2: return short_run<Storage, 1, 2, PerBlock>(a, f, v, run);
      default: return short_run<Storage, 1, 1, PerBlock>(a, f, v, run);
    }
  });
}

template <int Storage>
void dsconv2d_short__avx512vnni(const TileArgs& a, FusedArgs& f, int c0) {
  if (a.scales) short_runs<Storage, true>(a, f, c0);
  else short_runs<Storage, false>(a, f, c0);
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
        depthwise_fused__avx512vnni, decode_pixels__avx512vnni,
    };
    if (__builtin_cpu_supports("avx512bf16")) use_avx512bf16(&k);
    return k;
  }();
  return &set;
}

}  // namespace dsconv
