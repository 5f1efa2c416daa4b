// What a device can do at most, to hold measured times against: products on its integer tensor cores, float32 multiply-adds, and bytes of its memory. The sums are
// written where nobody expects them to be what they are, so that no compiler leaves them out.
#include "kernel.h"
#include "params/peaks.h"

constexpr int PEAK_CHAINS = 8;

/** 8 * 16 * 8 * 32 products per warp and turn, in chains that do not wait for each other. */
KERNEL(peak_mma_s8, PeaksParams, 256) {
  int sums[PEAK_CHAINS][4] = {};
  const uint32_t lane = threadIdx.x;
  const uint32_t a[4] = {lane, lane + 1, lane + 2, lane + 3};
  const uint32_t b[2] = {lane + 4, lane + 5};
#pragma unroll 1
  for (int turn = 0; turn < p.turns; turn++) {
#pragma unroll
    for (int n = 0; n < PEAK_CHAINS; n++) mma_s8_16x8x32(sums[n], a, b);
  }
  int sum = 0;
#pragma unroll
  for (int n = 0; n < PEAK_CHAINS; n++) sum += sums[n][0] ^ sums[n][1] ^ sums[n][2] ^ sums[n][3];
  if (sum == 0x12345678) p.to[0] = static_cast<float>(sum);
}

/** 4 * 8 multiply-adds per thread and turn. */
KERNEL(peak_ffma, PeaksParams, 256) {
  float sums[PEAK_CHAINS];
#pragma unroll
  for (int n = 0; n < PEAK_CHAINS; n++) sums[n] = static_cast<float>(threadIdx.x + n);
  const float factor = p.from[0], term = p.from[1];
#pragma unroll 1
  for (int turn = 0; turn < p.turns; turn++) {
#pragma unroll
    for (int again = 0; again < 4; again++) {
#pragma unroll
      for (int n = 0; n < PEAK_CHAINS; n++) sums[n] = __fmaf_rn(sums[n], factor, term);
    }
  }
  float sum = 0.0f;
#pragma unroll
  for (int n = 0; n < PEAK_CHAINS; n++) sum += sums[n];
  if (sum == 1.2345678f) p.to[0] = sum;
}

/** Copies quads from one place to another. */
KERNEL(peak_copy, PeaksParams, 256) {
  const unsigned step = gridDim.x * blockDim.x;
  for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < p.quads; n += step) {
    reinterpret_cast<float4*>(p.to)[n] = reinterpret_cast<const float4*>(p.from)[n];
  }
}
