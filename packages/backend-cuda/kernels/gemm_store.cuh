// From a thread's sums to memory: shares of the depth to scratch, whole sums through the epilogue to the result.
#pragma once
#include "conv_epilogue.cuh"
#include "gemm_tile.cuh"

/** Four values of what is added to the result, of which `count` exist; zeros where nothing is. */
template <bool VECTOR>
__device__ __forceinline__ GemmQuad residual_quad(const float* residual, long long element, int count) {
  GemmQuad quad = {};
  if (!residual) return quad;
  if constexpr (VECTOR) {
    quad = load_quad(residual + element);
  } else {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (j < count) quad.v[j] = residual[element + j];
    }
  }
  return quad;
}

/**
 * Stores the sums of a tile. Of the activations it knows the simple ones. With VECTOR, rows begin at multiples of four floats and have multiples of four columns.
 *
 * @param EPILOGUE false: sums are the result as they are
 * @param at gives the element of the result at which a row of the tile begins, or a negative number outside
 * @param columns of the tile that exist
 * @param first the result's column that is the tile's first, by which bias and slopes are taken
 * @param share where the sums go as they are because they are of a share of the depth, or 0
 */
template <class S, bool VECTOR, bool EPILOGUE, class P, class RowStart>
__device__ __forceinline__ void gemm_store(const P& p, const GemmPlace<S>& place, const float (&sum)[8][4 * S::QN], RowStart at, int columns, int first,
                                           float* share, float* y) {
#pragma unroll
  for (int q = 0; q < S::QN; q++) {
    const int column = place.column(4 * q);
    float bias[4] = {}, slope[4] = {};
    if constexpr (EPILOGUE) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if (share || column + j >= columns) continue;
        bias[j] = bias_of(p, first + column + j);
        slope[j] = slope_of(p, first + column + j);
      }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const long long start = at(place.row(i));
      if (start < 0 || column >= columns) continue;
      const long long element = start + column;
      GemmQuad v = {{sum[i][4 * q], sum[i][4 * q + 1], sum[i][4 * q + 2], sum[i][4 * q + 3]}};
      if constexpr (EPILOGUE) {
        if (!share) {
          const GemmQuad residual = residual_quad<VECTOR>(p.residual, element, columns - column);
#pragma unroll
          for (int j = 0; j < 4; j++) v.v[j] = activate_simply(v.v[j] + bias[j] + residual.v[j], p.activation, slope[j]);
        }
      }
      float* to = (share ? share : y) + element;
      if (VECTOR) {
        *reinterpret_cast<float4*>(to) = make_float4(v.v[0], v.v[1], v.v[2], v.v[3]);
      } else {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          if (column + j < columns) to[j] = v.v[j];
        }
      }
    }
  }
}

/** Which of a thread's sums are NaN, one bit each. */
template <class S>
__device__ __forceinline__ unsigned long long gemm_odd(const float (&sum)[8][4 * S::QN]) {
  unsigned long long odd = 0;
#pragma unroll
  for (int i = 0; i < 8; i++) {
#pragma unroll
    for (int j = 0; j < 4 * S::QN; j++) {
      if (isnan(sum[i][j])) odd |= 1ull << (i * 4 * S::QN + j);
    }
  }
  return odd;
}

/**
 * Stores odd sums anew, as `again(row, column)` finds them. A product of patches multiplies what lies outside of a picture, 0, by weights, where a convolution
 * has no product at all: that differs when the weight is infinite or NaN, and in nothing else.
 */
template <class S, bool EPILOGUE, class P, class RowStart, class Again>
__device__ __forceinline__ void gemm_repair(const P& p, const GemmPlace<S>& place, unsigned long long odd, RowStart at, int columns, int first, float* share,
                                            float* y, Again again) {
#if defined(MUTATION_13)  // 0 times infinity is added for what lies outside
  odd = 0;
#endif
  for (int n = 0; odd != 0; n++, odd >>= 1) {
    const int row = place.row(n / (4 * S::QN)), column = place.column(n % (4 * S::QN));
    const long long start = at(row);
    if ((odd & 1) == 0 || start < 0 || column >= columns) continue;
    float v = again(row, column);
    if constexpr (EPILOGUE) {
      if (!share) v = finished(p, v, static_cast<size_t>(start) + column, first + column);
    }
    (share ? share : y)[start + column] = v;
  }
}
