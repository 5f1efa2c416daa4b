// Float kernels on the compiler's own vectors: one source, compiled by every set with its own flags. A vector is one register of the set, because
// compilers keep wider ones on the stack; the 16 channels of a lane group are 1, 2 or 4 of them. A tile is cut into columns whose sums of
// 6 rows stay in registers, with room for the weights: kWide vectors.
#pragma once

#include "kernels_scalar.h"

namespace dsconv {
namespace {

#if defined(__AVX512F__)
constexpr int kFloats = 16, kWide = 2;  // 32 registers
#elif defined(__AVX__)
constexpr int kFloats = 8, kWide = 2;  // 16
#elif defined(__aarch64__)
constexpr int kFloats = 4, kWide = 4;  // 32
#else
constexpr int kFloats = 4, kWide = 2;  // 16
#endif
constexpr int kLaneVectors = kLaneChannels / kFloats;

#define DSCONV_VECTOR_INLINE inline __attribute__((always_inline))
#define DSCONV_VECTOR_UNROLL _Pragma("GCC unroll 16")

typedef float Floats __attribute__((vector_size(kFloats * 4), aligned(4), may_alias));

DSCONV_VECTOR_INLINE Floats load_floats(const float* p) { return *reinterpret_cast<const Floats*>(p); }
DSCONV_VECTOR_INLINE void store_floats(float* p, Floats v) { *reinterpret_cast<Floats*>(p) = v; }

// Sums of Rows by Wide vectors, in registers while everything below is inlined.
template <int Rows, int Wide>
struct Sums {
  Floats acc[Rows][Wide];

  DSCONV_VECTOR_INLINE void clear() {
    DSCONV_VECTOR_UNROLL
    for (int r = 0; r < Rows; r++) {
      DSCONV_VECTOR_UNROLL
      for (int v = 0; v < Wide; v++) acc[r][v] = Floats{};
    }
  }
  DSCONV_VECTOR_INLINE void load(const float* from, size_t ld) {
    DSCONV_VECTOR_UNROLL
    for (int r = 0; r < Rows; r++) {
      DSCONV_VECTOR_UNROLL
      for (int v = 0; v < Wide; v++) acc[r][v] = load_floats(from + r * ld + kFloats * v);
    }
  }
  DSCONV_VECTOR_INLINE void store(float* to, size_t ld) const {
    DSCONV_VECTOR_UNROLL
    for (int r = 0; r < Rows; r++) {
      DSCONV_VECTOR_UNROLL
      for (int v = 0; v < Wide; v++) store_floats(to + r * ld + kFloats * v, acc[r][v]);
    }
  }
  // Adds x[r][k * x_step] * y[k * y_step ..] for all k.
  DSCONV_VECTOR_INLINE void add(const float* const (&x)[Rows], size_t x_step, const float* y, size_t y_step, int64_t count) {
    for (int64_t k = 0, at = 0; k < count; k++, at += x_step, y += y_step) {
      Floats w[Wide];
      DSCONV_VECTOR_UNROLL
      for (int v = 0; v < Wide; v++) w[v] = load_floats(y + kFloats * v);
      DSCONV_VECTOR_UNROLL
      for (int r = 0; r < Rows; r++) {
        const float one = x[r][at];
        DSCONV_VECTOR_UNROLL
        for (int v = 0; v < Wide; v++) acc[r][v] += w[v] * one;
      }
    }
  }
};

template <int N>
struct Constant {
  constexpr operator int() const { return N; }
};

// f(constant rows, constant vectors, first channel) for each column of a tile of `rows` by 16 or 32 channels.
template <int Rows, typename F>
DSCONV_VECTOR_INLINE void columns_of(int rows, int channels, const F& f) {
  if (rows == Rows) {
    int c = 0;
    for (; c + kWide * kFloats <= channels; c += kWide * kFloats) f(Constant<Rows>(), Constant<kWide>(), c);
    if constexpr (kWide > kLaneVectors) {
      if (c < channels) f(Constant<Rows>(), Constant<kLaneVectors>(), c);
    }
  } else if constexpr (Rows > 1) {
    columns_of<Rows - 1>(rows, channels, f);
  }
}

inline void float_tile_vector(const FloatArgs& a) {
  for (int first = 0; first < a.vectors; first += 2) {
    const int vectors = min_of(2, a.vectors - first), channels = kLaneChannels * vectors;
    columns_of<kTileRows>(a.count, channels, [&](auto rows, auto wide, int c) {
      Sums<rows, wide> sums;
      sums.clear();
      for (int t = 0; t < a.tap_count; t++) {
        const float* x[rows];
        for (int r = 0; r < rows; r++) x[r] = a.taps[t].x[r];
        sums.add(x, 1, a.weights + first * a.vector_weights + a.taps[t].tap * a.tap_weights * vectors + c, channels, a.depth);
      }
      sums.store(a.out + kLaneChannels * first + c, a.ldo);
    });
  }
}

inline void outer_tile_vector(const OuterArgs& a) {
  columns_of<kTileRows>(a.rows, kLaneChannels * a.vectors, [&](auto rows, auto wide, int c) {
    const float* x[rows];
    for (int r = 0; r < rows; r++) x[r] = a.x + r;
    Sums<rows, wide> sums;
    sums.load(a.out + c, a.ldo);
    sums.add(x, a.x_step, a.y + c, a.y_step, a.count);
    sums.store(a.out + c, a.ldo);
  });
}

inline void stem_tile_vector(const StemArgs& a) {
  const int channels = kLaneChannels * a.vectors;
  columns_of<kTileRows>(a.count, channels, [&](auto rows, auto wide, int c) {
    Sums<rows, wide> sums;
    sums.clear();
    for (int n = 0; n < a.run_count; n++) {
      const float* x[rows];
      for (int r = 0; r < rows; r++) x[r] = static_cast<const float*>(a.runs[n]) + r * a.pixel_step;
      sums.add(x, 1, static_cast<const float*>(a.weights) + a.run_taps[n] * a.run_weights + c, channels, a.length);
    }
    sums.store(a.out + c, a.ldo);
  });
}

template <int Taps>
DSCONV_VECTOR_INLINE void depthwise_taps(const DepthwiseArgs& a, int first, bool add) {
  for (int c = 0; c < a.channels; c += kFloats) {
    Floats w[Taps];
    const float* x[Taps];
    for (int t = 0; t < Taps; t++) {
      w[t] = load_floats(a.weights[first + t] + c);
      x[t] = a.taps[first + t] + c;
    }
    for (int p = 0; p < a.count; p++) {
      Floats acc = add ? load_floats(a.out + p * a.ldo + c) : Floats{};
      for (int t = 0; t < Taps; t++) acc += w[t] * load_floats(x[t] + p * a.pixel_step);
      store_floats(a.out + p * a.ldo + c, acc);
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
  for (; c + kLaneChannels <= channels; c += kLaneChannels) {
    Floats best[kLaneVectors];
    for (int i = 0; i < kLaneVectors; i++) best[i] = load_floats(rows[0] + c + kFloats * i);
    for (int n = 1; n < count; n++) {
      for (int i = 0; i < kLaneVectors; i++) {
        const Floats v = load_floats(rows[n] + c + kFloats * i);
        best[i] = (best[i] >= v) | (best[i] != best[i]) ? best[i] : v;  // NaN wins: a comparison with it is false, and a NaN found stays
      }
    }
    for (int i = 0; i < kLaneVectors; i++) store_floats(out + c + kFloats * i, best[i]);
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
    for (; c + kFloats <= channels; c += kFloats) store_floats(out + c, load_floats(out + c) + load_floats(x + c));
    for (; c < channels; c++) out[c] += x[c];
  }
}

}  // namespace
}  // namespace dsconv
