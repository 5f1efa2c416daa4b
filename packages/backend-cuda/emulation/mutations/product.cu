// A small product of matrices that uses what the large ones use, and nine ways in which those could be wrong. `-DMUTATION_n` chooses one; the tests demand that
// each is noticed under some schedule, and that without any all is right under every schedule.
#include "kernel.h"

/** c[M, N] = a[M, K] * b[N, K]^T in int8 → int32. K is a multiple of 16. */
struct ProductParams {
  const int8_t* a;
  const int8_t* b;
  int* c;
  int m;
  int n;
  int k;
};

namespace {
constexpr int kTile = 32, kStep = 32;
/** Rows are 16 bytes longer, against bank conflicts. */
constexpr int kRow = kStep + 16;
constexpr int kBuffer = 2 * kTile * kRow;

/** Fetches one step of both matrices; what lies outside of them is zero. */
__device__ __forceinline__ void load_step(const ProductParams& p, int8_t* buffer, int step) {
  for (int n = static_cast<int>(threadIdx.x); n < 2 * kTile * (kStep / 16); n += static_cast<int>(blockDim.x)) {
    const bool second = n >= kTile * (kStep / 16);
    const int row = n / 2 % kTile, depth = step * kStep + n % 2 * 16;
    const int place = static_cast<int>(second ? blockIdx.x : blockIdx.y) * kTile + row, rows = second ? p.n : p.m;
#if defined(MUTATION_1)  // the tail of the depth is not zero
    const bool valid = place < rows;
#else
    const bool valid = place < rows && depth < p.k;
#endif
    const int8_t* from = (second ? p.b : p.a) + (valid ? static_cast<size_t>(place) * p.k + depth : 0);
    cp_async16(buffer + (second ? kTile * kRow : 0) + row * kRow + n % 2 * 16, from, valid);
  }
  cp_async_commit();
}
}  // namespace

/** Four warps, each of 16 x 16. */
KERNEL(check_product, ProductParams, 128) {
  DYN_SMEM(int8_t, shared);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int row0 = warp / 2 * 16, column0 = warp % 2 * 16;
  const int steps = (p.k + kStep - 1) / kStep;
  int sums[2][4] = {};
  load_step(p, shared, 0);
  for (int step = 0; step < steps; step++) {
    if (step + 1 < steps) load_step(p, shared + (step + 1) % 2 * kBuffer, step + 1);
#if defined(MUTATION_2)  // the newest group is never waited for
    cp_async_wait<1>();
#elif !defined(MUTATION_3)  // nothing is waited for
    if (step + 1 < steps) {
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
#endif
#if !defined(MUTATION_4)  // no barrier before the copies of others are read
    __syncthreads();
#endif
    const int8_t* a = shared + step % 2 * kBuffer;
    const int8_t* b = a + kTile * kRow;
    uint32_t fa[4];
#if defined(MUTATION_5)  // halves of the rows in the wrong order
    ldmatrix_x4(fa, a + (row0 + lane / 16 * 8 + lane % 8) * kRow + lane / 8 % 2 * 16);
#else
    ldmatrix_x4(fa, a + (row0 + lane % 16) * kRow + lane / 16 * 16);
#endif
    for (int j = 0; j < 2; j++) {
      uint32_t fb[2];
      ldmatrix_x2(fb, b + (column0 + 8 * j + lane % 8) * kRow + lane / 8 % 2 * 16);
#if defined(MUTATION_6)  // fragments of b in the wrong order
      const uint32_t swapped[2] = {fb[1], fb[0]};
      mma_s8_16x8x32(sums[j], fa, swapped);
#else
      mma_s8_16x8x32(sums[j], fa, fb);
#endif
    }
#if !defined(MUTATION_7)  // no barrier before the next copies overwrite what others still read
    __syncthreads();
#endif
  }
  for (int j = 0; j < 2; j++) {
    for (int n = 0; n < 4; n++) {
#if defined(MUTATION_8)  // rows of the result in the wrong order
      const int row = row0 + lane / 4 * 2 + n / 2;
#else
      const int row = row0 + lane / 4 + n / 2 * 8;
#endif
      const int m = static_cast<int>(blockIdx.y) * kTile + row;
      const int column = static_cast<int>(blockIdx.x) * kTile + column0 + 8 * j + lane % 4 * 2 + n % 2;
#if defined(MUTATION_9)  // rows that do not exist are written
      if (column < p.n) p.c[static_cast<size_t>(m) * p.n + column] = sums[j][n];
#else
      if (m < p.m && column < p.n) p.c[static_cast<size_t>(m) * p.n + column] = sums[j][n];
#endif
    }
  }
}
