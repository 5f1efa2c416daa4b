// Products of float32 matrices, the sum of their shares, and the plain product that they are tested against.
#include "kernel.h"
#include "params/gemm.h"
#include "gemm_matrix.cuh"
#include "gemm_store.cuh"

namespace {

template <class S, bool VECTOR>
struct MatrixOperands {
  MatrixSide<S::BM, S::A_ROW, VECTOR> a;
  MatrixSide<S::BN, S::B_ROW, VECTOR> b;

  __device__ __forceinline__ void fetch() {
    a.fetch();
    b.fetch();
  }
  __device__ __forceinline__ void store(GemmShared<S>& to, int half) const {
    a.store(to.a[half]);
    b.store(to.b[half]);
  }
};

/** How many matrices of a and b come before those of matrix `n` of the batch. */
__device__ __forceinline__ void batch_starts(const GemmParams& p, int n, long long& a, long long& b) {
  a = b = 0;
  for (int axis = 3; axis >= 0; axis--) {
    const int place = n % p.batchShape[axis];
    n /= p.batchShape[axis];
    a += static_cast<long long>(place) * p.aSteps[axis];
    b += static_cast<long long>(place) * p.bSteps[axis];
  }
}

template <class S, bool VECTOR>
__device__ __forceinline__ MatrixOperands<S, VECTOR> operands_of(const GemmParams& p, const GemmBlock& block, int first, int end) {
  long long a, b;
  batch_starts(p, block.other, a, b);
  const bool deepA = p.transposeA == 0, deepB = p.transposeB != 0;
  return {{p.a + a * p.m * p.k, deepA ? p.k : p.m, deepA, block.m0, p.m, first, end}, {p.b + b * p.k * p.n, deepB ? p.k : p.n, deepB, block.n0, p.n, first, end}};
}

template <class S, bool VECTOR>
__device__ __forceinline__ void multiply(const GemmParams& p) {
  __shared__ GemmShared<S> shared;
  const GemmPlace<S> place;
  float sum[8][4 * S::QN] = {};
  {
    const GemmBlock block = GemmBlock::of<S>(p.tilesN, p.tilesM, p.batch);
    if (threadIdx.x == 0) shared.block = block;
    const int first = block.split * p.splitDepth, end = min(p.k, first + p.splitDepth);
    auto operands = operands_of<S, VECTOR>(p, block, first, end);
    gemm_accumulate<S>(shared, operands, (end - first + GEMM_DEPTH - 1) / GEMM_DEPTH, place, sum);
  }
  const GemmBlock block = shared.block;
  const long long start = static_cast<long long>(block.other) * p.m;
  const auto at = [&](int row) { return block.m0 + row < p.m ? (start + block.m0 + row) * p.n + block.n0 : -1ll; };
  float* share = p.splits > 1 ? p.partial + static_cast<size_t>(block.split) * p.batch * p.m * p.n : nullptr;
  gemm_store<S, VECTOR, true>(p, place, sum, at, p.n - block.n0, block.n0, share, p.y);
}

}  // namespace

/** 128 × 128; what lies beside each other in a, b and y comes in fours. */
GEMM_KERNEL(gemm_wide, GemmParams, 256, 2) { multiply<GemmWide, true>(p); }

/** 64 × 64. */
GEMM_KERNEL(gemm_small, GemmParams, 128, 5) { multiply<GemmSmall, true>(p); }

/** 64 × 64, of any sizes. */
GEMM_KERNEL(gemm_any, GemmParams, 128, 5) { multiply<GemmSmall, false>(p); }

/** One value of y per thread. */
KERNEL(gemm_naive, GemmParams, 256) {
  const size_t count = static_cast<size_t>(p.batch) * p.m * p.n, at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const int column = static_cast<int>(at % p.n), row = static_cast<int>(at / p.n % p.m);
  long long aStart, bStart;
  batch_starts(p, static_cast<int>(at / p.n / p.m), aStart, bStart);
  const float* a = p.a + aStart * p.m * p.k + (p.transposeA ? row : static_cast<long long>(row) * p.k);
  const float* b = p.b + bStart * p.k * p.n + (p.transposeB ? static_cast<long long>(column) * p.k : column);
  float sum = 0.0f;
  for (int k = 0; k < p.k; k++) {
    sum = fmaf(a[p.transposeA ? static_cast<long long>(k) * p.m : k], b[p.transposeB ? k : static_cast<long long>(k) * p.n], sum);
  }
  p.y[at] = finished(p, sum, at, column);
}

/** Adds the shares of each value, always in the same order. */
KERNEL(gemm_finish, GemmFinishParams, 256) {
  const size_t count = static_cast<size_t>(p.rows) * p.columns;
  for (size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < count; at += static_cast<size_t>(gridDim.x) * blockDim.x) {
    float sum = p.partial[at];
#if defined(MUTATION_5)  // the last share is forgotten
    for (int s = 1; s < p.splits - 1; s++) sum += p.partial[s * count + at];
#else
    for (int s = 1; s < p.splits; s++) sum += p.partial[s * count + at];
#endif
    p.y[at] = finished(p, sum, at, static_cast<int>(at % p.columns));
  }
}
