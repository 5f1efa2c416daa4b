// Small kernels with which the emulation and the addon are tested. They belong to no package that is shipped.
#include "kernel.h"

struct AddParams {
  const float* x;
  float* y;
  float a;
  int n;
};

/** y = x + a. Blocks of any size. */
KERNEL(check_add, AddParams, 1024) {
  const int n = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (n < p.n) p.y[n] = p.x[n] + p.a;
}

/** Writes `n` values further than it should. */
KERNEL(check_write_outside, AddParams, 32) {
  if (threadIdx.x == 0) p.y[p.n] = p.a;
}

/** Only half of the block comes to the barrier. */
KERNEL(check_deadlock, AddParams, 64) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __shfl_xor_sync(3u << 30, 0, 1);
  }
  p.y[threadIdx.x] = p.a;
}

/** y[thread] = what lies in static and dynamic shared memory that nobody wrote, summed. */
KERNEL(check_uninitialized, AddParams, 32) {
  DYN_SMEM(float, dynamic);
  __shared__ float fixed[32];
  p.y[threadIdx.x] = dynamic[threadIdx.x] + fixed[threadIdx.x];
  __syncthreads();
  fixed[threadIdx.x] = dynamic[threadIdx.x] = 1.0f;
}

/** y[block] += the sum of the block's x, through every kind of shuffle and a vote. */
KERNEL(check_sum, AddParams, 256) {
  __shared__ float sums[8];
  const int n = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned all = __ballot_sync(~0u, n < p.n);
  float sum = n < p.n ? p.x[n] : 0.0f;
  for (int by = 16; by >= 4; by /= 2) sum += __shfl_xor_sync(~0u, sum, by);
  sum += __shfl_down_sync(~0u, sum, 2);
  const float above = __shfl_up_sync(~0u, sum, 1);
  sum = __shfl_sync(~0u, sum, 0) + __shfl_sync(~0u, above, 2);
  if (lane == 0) sums[threadIdx.x / 32] = all != 0 ? sum : 0.0f;
  __syncthreads();
  if (threadIdx.x == 0) {
    float total = 0.0f;
    for (unsigned warp = 0; warp < blockDim.x / 32; warp++) total += sums[warp];
    atomicAdd(p.y, total);
  }
}
