// Float kernels on 16-lane vectors of the compiler's own vector extension: one source, compiled by every set with its own flags (a vector is one
// register of AVX-512, two of AVX2, four of NEON or SSE). kVectorRows: rows of accumulators that fit the register file.
#pragma once

#include "kernels_scalar.h"

#ifndef DSCONV_VECTOR_ROWS
#define DSCONV_VECTOR_ROWS 2
#endif

namespace dsconv {
namespace {

typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int v16i __attribute__((vector_size(64), aligned(4), may_alias));

inline __attribute__((always_inline)) v16 load16(const float* p) { return *reinterpret_cast<const v16*>(p); }
inline __attribute__((always_inline)) void store16(float* p, v16 v) { *reinterpret_cast<v16*>(p) = v; }

template <int Rows, int Vectors>
inline __attribute__((always_inline)) void float_rows(const FloatArgs& a, int first, int r0) {
  v16 acc[Rows][Vectors];
  for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) acc[r][v] = v16{};
  for (int t = 0; t < a.tap_count; t++) {
    const float* b = a.weights + first * a.vector_weights + a.taps[t].tap * a.tap_weights * Vectors;
    const float* x[Rows];
    for (int r = 0; r < Rows; r++) x[r] = a.taps[t].x[r0 + r];
    for (int64_t k = 0; k < a.depth; k++, b += 16 * Vectors) {
      v16 w[Vectors];
      for (int v = 0; v < Vectors; v++) w[v] = load16(b + 16 * v);
      for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) acc[r][v] += w[v] * x[r][k];
    }
  }
  float* out = a.out + r0 * a.ldo + 16 * first;
  for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) store16(out + r * a.ldo + 16 * v, acc[r][v]);
}

template <int Vectors>
inline void float_columns(const FloatArgs& a, int first) {
  int r = 0;
  for (; r + DSCONV_VECTOR_ROWS <= a.count; r += DSCONV_VECTOR_ROWS) float_rows<DSCONV_VECTOR_ROWS, Vectors>(a, first, r);
  for (; r < a.count; r++) float_rows<1, Vectors>(a, first, r);
}

inline void float_tile_vector(const FloatArgs& a) {
  int v = 0;
  for (; v + 2 <= a.vectors; v += 2) float_columns<2>(a, v);
  if (v < a.vectors) float_columns<1>(a, v);
}

template <int Rows, int Vectors>
inline __attribute__((always_inline)) void outer_rows(const OuterArgs& a, int r0) {
  v16 acc[Rows][Vectors];
  for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) acc[r][v] = load16(a.out + (r0 + r) * a.ldo + 16 * v);
  const float *x = a.x + r0, *row = a.y;
  for (int k = 0; k < a.count; k++, x += a.x_step, row += a.y_step) {
    v16 y[Vectors];
    for (int v = 0; v < Vectors; v++) y[v] = load16(row + 16 * v);
    for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) acc[r][v] += y[v] * x[r];
  }
  for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) store16(a.out + (r0 + r) * a.ldo + 16 * v, acc[r][v]);
}

template <int Vectors>
inline void outer_columns(const OuterArgs& a) {
  int r = 0;
  for (; r + DSCONV_VECTOR_ROWS <= a.rows; r += DSCONV_VECTOR_ROWS) outer_rows<DSCONV_VECTOR_ROWS, Vectors>(a, r);
  for (; r + 2 <= a.rows; r += 2) outer_rows<2, Vectors>(a, r);
  for (; r < a.rows; r++) outer_rows<1, Vectors>(a, r);
}

inline void outer_tile_vector(const OuterArgs& a) {
  if (a.vectors == 2) outer_columns<2>(a);
  else outer_columns<1>(a);
}

template <int Rows, int Vectors>
inline __attribute__((always_inline)) void stem_rows(const StemArgs& a, int r0) {
  v16 acc[Rows][Vectors];
  for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) acc[r][v] = v16{};
  for (int n = 0; n < a.run_count; n++) {
    const float* x = static_cast<const float*>(a.runs[n]) + r0 * a.pixel_step;
    const float* b = static_cast<const float*>(a.weights) + a.run_taps[n] * a.run_weights;
    for (int i = 0; i < a.length; i++, b += 16 * Vectors) {
      v16 w[Vectors];
      for (int v = 0; v < Vectors; v++) w[v] = load16(b + 16 * v);
      for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) acc[r][v] += w[v] * x[r * a.pixel_step + i];
    }
  }
  for (int r = 0; r < Rows; r++) for (int v = 0; v < Vectors; v++) store16(a.out + (r0 + r) * a.ldo + 16 * v, acc[r][v]);
}

template <int Vectors>
inline void stem_columns(const StemArgs& a) {
  int r = 0;
  for (; r + DSCONV_VECTOR_ROWS <= a.count; r += DSCONV_VECTOR_ROWS) stem_rows<DSCONV_VECTOR_ROWS, Vectors>(a, r);
  for (; r < a.count; r++) stem_rows<1, Vectors>(a, r);
}

inline void stem_tile_vector(const StemArgs& a) {
  if (a.vectors == 2) stem_columns<2>(a);
  else stem_columns<1>(a);
}

template <int Taps>
inline __attribute__((always_inline)) void depthwise_taps(const DepthwiseArgs& a, int first, bool add) {
  for (int c = 0; c < a.channels; c += 16) {
    v16 w[Taps];
    const float* x[Taps];
    for (int t = 0; t < Taps; t++) {
      w[t] = load16(a.weights[first + t] + c);
      x[t] = a.taps[first + t] + c;
    }
    for (int p = 0; p < a.count; p++) {
      v16 acc = add ? load16(a.out + p * a.ldo + c) : v16{};
      for (int t = 0; t < Taps; t++) acc += w[t] * load16(x[t] + p * a.pixel_step);
      store16(a.out + p * a.ldo + c, acc);
    }
  }
}

inline void depthwise_vector(const DepthwiseArgs& a) {
  int t = 0;
  if (a.tap_count >= 9) {
    depthwise_taps<9>(a, 0, false);
    t = 9;
  } else if (a.tap_count >= 6) {
    depthwise_taps<6>(a, 0, false);
    t = 6;
  } else if (a.tap_count >= 4) {
    depthwise_taps<4>(a, 0, false);
    t = 4;
  } else {
    for (int p = 0; p < a.count; p++) for (int c = 0; c < a.channels; c++) a.out[p * a.ldo + c] = 0;
  }
  for (; t + 3 <= a.tap_count; t += 3) depthwise_taps<3>(a, t, true);
  for (; t < a.tap_count; t++) depthwise_taps<1>(a, t, true);
}

inline void max_rows_vector(const float* const* rows, int count, int channels, float* out) {
  int c = 0;
  for (; c + 16 <= channels; c += 16) {
    v16 best = load16(rows[0] + c);
    for (int n = 1; n < count; n++) {
      const v16 v = load16(rows[n] + c);
      best = (best >= v) | (best != best) ? best : v;  // NaN wins: a comparison with it is false, and a NaN found stays
    }
    store16(out + c, best);
  }
  for (; c < channels; c++) {
    float best = rows[0][c];
    for (int n = 1; n < count; n++) {
      const float v = rows[n][c];
      best = best >= v || best != best ? best : v;
    }
    out[c] = best;
  }
}

inline void add_rows_vector(const float* const* rows, int count, int channels, float* out) {
  for (int n = 0; n < count; n++) {
    const float* x = rows[n];
    int c = 0;
    for (; c + 16 <= channels; c += 16) store16(out + c, load16(out + c) + load16(x + c));
    for (; c < channels; c++) out[c] += x[c];
  }
}

}  // namespace
}  // namespace dsconv
