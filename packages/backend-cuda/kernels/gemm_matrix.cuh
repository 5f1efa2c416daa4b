// A matrix in memory as an operand of gemm_tile.cuh.
#pragma once
#include "gemm_tile.cuh"

/** One operand as a thread fetches it. `outer` stands for rows of a and columns of b; SIZE of them are in a tile, whose depths lie ROW floats apart. */
template <int SIZE, int ROW, bool VECTOR>
struct MatrixSide {
  const float* at;
  /** Floats from one depth to the next. */
  int advance;
  /** Depths from the next fetch on; none where the thread's rows or columns lie outside. */
  int left;
  /** Where the values go in a step. */
  int place;
  /** Rows or columns from the first on that exist. */
  int inside;
  /** Whether neighbours in memory differ in depth. */
  bool deep;
  GemmQuad quad;

  /** @param stride floats from one to the next of what are not neighbours in memory */
  __device__ __forceinline__ MatrixSide(const float* matrix, int stride, bool deep, int outer0, int outers, int first, int end) : deep(deep) {
    const int t = threadIdx.x, own = deep ? t % 2 * 4 : t / (SIZE / 4), column = deep ? t / 2 : t % (SIZE / 4) * 4;
    const int depth = first + own, outer = outer0 + column;
    place = own * ROW + column;
    inside = outers - outer;
    left = inside > 0 ? end - depth : 0;
    advance = deep ? 1 : stride;
    at = matrix + (deep ? static_cast<long long>(outer) * stride + depth : static_cast<long long>(depth) * stride + outer);
  }

  __device__ __forceinline__ void fetch() {
    quad = {};
    if (VECTOR) {
#if defined(MUTATION_4)  // the tail of the depth is not zero
      if (left > -GEMM_DEPTH) quad = load_quad(at);
#else
      if (left > 0) quad = load_quad(at);
#endif
    } else {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if (deep ? j < left : 0 < left && j < inside) quad.v[j] = at[j];
      }
    }
    at += static_cast<long long>(advance) * GEMM_DEPTH;
    left -= GEMM_DEPTH;
  }

  __device__ __forceinline__ void store(float* to) const {
    if (deep) store_across<ROW>(to + place, quad);
    else store_along(to + place, quad);
  }
};
