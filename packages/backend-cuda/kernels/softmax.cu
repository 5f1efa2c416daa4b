// Softmax along the last axis.
#include <math.h>
#include "kernel.h"
#include "params/softmax.h"

namespace {

__device__ inline float larger(float a, float b) { return a != a || a > b ? a : b; }
__device__ inline float sum_of(float a, float b) { return a + b; }

/** What the lanes of a row make of their values together; every one of them gets it. */
template <float (*combine)(float, float)>
__device__ inline float together(float value, float* shared, int lane, int lanes) {
  float* row = shared + threadIdx.x - lane;
  __syncthreads();
  row[lane] = value;
  for (int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) row[lane] = combine(row[lane], row[lane + half]);
  }
  __syncthreads();
  return row[0];
}

}  // namespace

KERNEL(softmax_rows, SoftmaxParams, 256) {
  __shared__ float shared[256];
  const int lane = static_cast<int>(threadIdx.x) % p.lanes;
  const size_t row = static_cast<size_t>(blockIdx.x) * (256 / p.lanes) + threadIdx.x / p.lanes;
  // Threads beyond the last row go along to the barriers.
  const int channels = row < static_cast<size_t>(p.rows) ? p.channels : 0;
  const float* x = p.x + row * p.channels;
  float* y = p.y + row * p.channels;
  float largest = -INFINITY;
  for (int c = lane; c < channels; c += p.lanes) largest = larger(largest, x[c]);
  largest = together<larger>(largest, shared, lane, p.lanes);
  float sum = 0;
  for (int c = lane; c < channels; c += p.lanes) sum += expf(x[c] - largest);
  sum = together<sum_of>(sum, shared, lane, p.lanes);
  for (int c = lane; c < channels; c += p.lanes) y[c] = expf(x[c] - largest) / sum;
}
