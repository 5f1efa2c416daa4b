// A small product of matrices by wgmma, and eight ways in which it could be wrong: see product.cu.
#define KERNEL_CAPABILITY 90
#include "kernel.h"

/** c[64, 64] = a[64, 256] * b[64, 256]^T in int8 → int32. */
struct WgmmaProductParams {
  const int8_t* a;
  const int8_t* b;
  int* c;
};

namespace {
constexpr int kDepth = 256, kStep = 64, kBuffer = 64 * kStep;

/** Fetches one step of b. The pieces of 16 bytes of a row are exchanged by two bits of its number, as a device has it for rows of 64 bytes. */
__device__ __forceinline__ void load_step(const WgmmaProductParams& p, unsigned char* buffer, int step) {
  for (int n = static_cast<int>(threadIdx.x); n < 64 * kStep / 16; n += 128) {
    const int row = n / 4, piece = n % 4;
#if defined(MUTATION_1)  // the order of pieces is that of longer rows
    const int order = row & 3;
#else
    const int order = row >> 1 & 3;
#endif
    cp_async16(buffer + row * kStep + (piece ^ order) * 16, p.b + row * kDepth + step * kStep + piece * 16);
  }
  cp_async_commit();
}
}  // namespace

KERNEL(check_wgmma_product, WgmmaProductParams, 128) {
  DYN_SMEM(unsigned char, memory);
  unsigned char* shared = memory + (-shared_address(memory) & 1023);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  uint32_t a[kDepth / 8];
  for (int chunk = 0; chunk < kDepth / 32; chunk++) {
    for (int n = 0; n < 4; n++) {
#if defined(MUTATION_2)  // rows and depths of a fragment are exchanged
      const int row = n / 2, half = n % 2;
#else
      const int row = n % 2, half = n / 2;
#endif
      const int8_t* from = p.a + (warp * 16 + lane / 4 + row * 8) * kDepth + chunk * 32 + half * 16 + lane % 4 * 4;
      a[4 * chunk + n] = *reinterpret_cast<const uint32_t*>(from);
    }
  }
  int sums[32] = {};
  load_step(p, shared, 0);
#pragma unroll
  for (int step = 0; step < kDepth / kStep; step++) {
#if !defined(MUTATION_3)  // rows are written over while they are multiplied
    wgmma_wait<0>(sums);
#endif
    cp_async_wait<0>();
#if !defined(MUTATION_4)  // wgmma is not told of what was copied
    fence_proxy_async();
#endif
    __syncthreads();
    if (step + 1 < kDepth / kStep) load_step(p, shared + (step + 1) % 2 * kBuffer, step + 1);
#if !defined(MUTATION_5)  // registers are not fenced
    wgmma_fence(sums, a);
#endif
    for (int half = 0; half < 2; half++) {
      const uint64_t begin = (shared_address(shared + step % 2 * kBuffer + half * 32) & 0x3ffffu) >> 4;
      wgmma_s8_64x64x32<true>(sums, a, 2 * step + half, 2ull << 62 | static_cast<uint64_t>(8 * kStep / 16) << 32 | 1ull << 16 | begin);
    }
#if defined(MUTATION_6)  // weights change while they are multiplied
    a[8 * step] ^= 1u;
#endif
#if !defined(MUTATION_7)  // no group is made, so that none is waited for
    wgmma_commit();
#endif
  }
#if defined(MUTATION_8)  // the newest group is not waited for
  wgmma_wait<1>(sums);
#else
  wgmma_wait<0>(sums);
#endif
  for (int n = 0; n < 32; n++) {
    const int row = warp * 16 + lane / 4 + n / 2 % 2 * 8, column = n / 4 * 8 + lane % 4 * 2 + n % 2;
    p.c[row * 64 + column] = sums[n];
  }
}
