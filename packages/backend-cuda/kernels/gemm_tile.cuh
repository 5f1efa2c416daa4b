// The float32 product of a block, which matrices and convolutions share: C[BM, BN] = A[BM, k] * B[k, BN], eight depths at a time through shared memory.
// While a step is computed, the operands of the next lie in registers on their way there. What A and B are is told by `Operands`:
//   void fetch()                             reads this thread's four neighbours of either operand for the next step; 0 beyond the edges
//   void store(GemmShared<S>& to, int half)  writes them to one half of shared memory
#pragma once
#include "kernel.h"

/** A kernel of which `blocks` blocks shall have room on a multiprocessor: 128 registers a thread for two of 256, so that one computes while the other loads. */
#ifdef __CUDACC__
#define GEMM_KERNEL(name, Params, threads, blocks) \
  extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ Params p)
#else
#define GEMM_KERNEL(name, Params, threads, blocks) KERNEL(name, Params, threads)
#endif

/** Depths of a step. */
constexpr int GEMM_DEPTH = 8;

/** A tile of BM rows by BN columns. A warp has 32 rows by 32 * QN columns of it, a thread 8 by 4 * QN. */
template <int BM_, int BN_, int QN_>
struct GemmShape {
  static constexpr int BM = BM_, BN = BN_, QN = QN_;
  static constexpr int WARPS_N = BN / (32 * QN);
  static constexpr int THREADS = BM / 32 * WARPS_N * 32;
  // Four floats of padding: threads that store a row's depths downwards then hit 32 banks.
  static constexpr int A_ROW = BM + 4, B_ROW = BN + 4;
  static_assert(THREADS * 4 == BM * GEMM_DEPTH && THREADS * 4 == BN * GEMM_DEPTH, "each thread fetches four values of either operand");
};

using GemmWide = GemmShape<128, 128, 2>;
using GemmSmall = GemmShape<64, 64, 1>;

/** A block's number taken apart: the place of its tile, and which of the others it is. */
struct GemmBlock {
  int n0, m0, other, split;

  /** Counts of tiles along either side, of what else there are products of, and of shares of the depth; the first changes fastest. */
  template <class S>
  static __device__ __forceinline__ GemmBlock of(int tilesN, int tilesM, int others) {
    unsigned rest = blockIdx.x;
    const auto part = [&](int count) {
      const unsigned value = rest % static_cast<unsigned>(count);
      rest /= static_cast<unsigned>(count);
      return static_cast<int>(value);
    };
    GemmBlock block;
    block.n0 = part(tilesN) * S::BN;
    block.m0 = part(tilesM) * S::BM;
    block.other = part(others);
    block.split = static_cast<int>(rest);
    return block;
  }
};

/** Twice the operands of a step, depth by depth. */
template <class S>
struct alignas(16) GemmShared {
  float a[2][GEMM_DEPTH * S::A_ROW];
  float b[2][GEMM_DEPTH * S::B_ROW];
  /** Kept here while the registers are full of sums. */
  GemmBlock block;
};

/** Four neighbours in memory. */
struct GemmQuad {
  float v[4];
};

__device__ __forceinline__ GemmQuad load_quad(const float* from) {
  const float4 q = *reinterpret_cast<const float4*>(from);
  return {{q.x, q.y, q.z, q.w}};
}

/** Stores neighbours of the same depth. */
__device__ __forceinline__ void store_along(float* to, const GemmQuad& q) {
  *reinterpret_cast<float4*>(to) = make_float4(q.v[0], q.v[1], q.v[2], q.v[3]);
}

/** Stores neighbours of four depths, which lie ROW floats apart. */
template <int ROW>
__device__ __forceinline__ void store_across(float* to, const GemmQuad& q) {
#pragma unroll
  for (int j = 0; j < 4; j++) to[j * ROW] = q.v[j];
}

/** Where a thread's sums lie in the tile: rows row(0..7), columns column(0..4 QN - 1), both in runs of four. */
template <class S>
struct GemmPlace {
  int row0, column0;

  __device__ __forceinline__ GemmPlace() {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    // Eight lanes read 32 neighbouring columns at once, all the same rows.
    row0 = warp / S::WARPS_N * 32 + lane / 8 * 4;
    column0 = warp % S::WARPS_N * 32 * S::QN + lane % 8 * 4;
  }
  __device__ __forceinline__ int row(int i) const { return row0 + i / 4 * 16 + i % 4; }
  __device__ __forceinline__ int column(int j) const { return column0 + j / 4 * 32 + j % 4; }
};

template <class S>
__device__ __forceinline__ void gemm_step(const GemmShared<S>& shared, int half, const GemmPlace<S>& place, float (&sum)[8][4 * S::QN]) {
#pragma unroll
  for (int k = 0; k < GEMM_DEPTH; k++) {
    GemmQuad a[2], b[S::QN];
#pragma unroll
    for (int i = 0; i < 2; i++) a[i] = load_quad(&shared.a[half][k * S::A_ROW + place.row0 + 16 * i]);
#pragma unroll
    for (int j = 0; j < S::QN; j++) b[j] = load_quad(&shared.b[half][k * S::B_ROW + place.column0 + 32 * j]);
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
      for (int j = 0; j < 4 * S::QN; j++) sum[i][j] = fmaf(a[i / 4].v[i % 4], b[j / 4].v[j % 4], sum[i][j]);
    }
  }
}

/** Adds `steps` steps to the sums. */
template <class S, class Operands>
__device__ __forceinline__ void gemm_accumulate(GemmShared<S>& shared, Operands& operands, int steps, const GemmPlace<S>& place,
                                                float (&sum)[8][4 * S::QN]) {
  __syncthreads();
  if (steps <= 0) return;
  operands.fetch();
  operands.store(shared, 0);
#if !defined(MUTATION_1)  // the first step is not waited for
  __syncthreads();
#endif
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    const int half = step & 1;
    if (step + 1 < steps) operands.fetch();
    gemm_step<S>(shared, half, place, sum);
#if defined(MUTATION_2)  // the next step is written over the one that is read
    if (step + 1 < steps) operands.store(shared, half);
#else
    if (step + 1 < steps) operands.store(shared, half ^ 1);
#endif
#if !defined(MUTATION_3)  // no barrier from step to step
    // One barrier is enough: what is written here was read a step ago.
    __syncthreads();
#endif
  }
}
