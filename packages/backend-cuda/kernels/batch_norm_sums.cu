// Sums down the channels of a batch: its statistics, and what their gradients need. Chunks of rows are summed each by itself, then all of a channel in order.
#include "kernel.h"
#include "params/batch_norm.h"

namespace {

struct Sums {
  float first = 0.0f, second = 0.0f;

  __device__ __forceinline__ void add(const BatchNormSumsParams& p, size_t at, float mean, float inverse) {
    const float x = p.x[at];
    if (p.what == 0) {
      first += x;
    } else if (p.what == 1) {
      first = fmaf(x - mean, x - mean, first);
    } else {
      first += p.dy[at];
      second = fmaf(p.dy[at], (x - mean) * inverse, second);
    }
  }
};

/** The rows from `begin` on, every `step`th. */
__device__ __forceinline__ Sums sums_of(const BatchNormSumsParams& p, int channel, int begin, int end, int step) {
  const float mean = p.what == 0 ? 0.0f : p.mean[channel], inverse = p.what == 2 ? 1.0f / sqrtf(p.variance[channel] + p.epsilon) : 0.0f;
  Sums sums;
  for (int row = begin; row < end; row += step) sums.add(p, static_cast<size_t>(row) * p.channels + channel, mean, inverse);
  return sums;
}

}  // namespace

/** A chunk of rows of `lanes` channels per block. */
KERNEL(batch_norm_sums, BatchNormSumsParams, 256) {
  __shared__ float shared[2][256];
  const int lane = threadIdx.x % p.lanes, thread = threadIdx.x / p.lanes, threads = 256 / p.lanes, channel = blockIdx.x * p.lanes + lane;
  const int first = blockIdx.y * p.chunkRows, end = min(p.rows, first + p.chunkRows);
  Sums sums;
  if (channel < p.channels) sums = sums_of(p, channel, first + thread, end, threads);
  shared[0][threadIdx.x] = sums.first;
  shared[1][threadIdx.x] = sums.second;
  for (int half = 128; half >= p.lanes; half /= 2) {
#if !defined(MUTATION_11)  // halves are added before they are complete
    __syncthreads();
#endif
    if (static_cast<int>(threadIdx.x) < half) {
      shared[0][threadIdx.x] += shared[0][threadIdx.x + half];
      shared[1][threadIdx.x] += shared[1][threadIdx.x + half];
    }
  }
  if (thread != 0 || channel >= p.channels) return;
  float* partial = p.partial + static_cast<size_t>(blockIdx.y) * 2 * p.channels + channel;
  partial[0] = shared[0][lane];
  partial[p.channels] = shared[1][lane];
}

/** One channel per thread, all rows. */
KERNEL(batch_norm_sums_naive, BatchNormSumsParams, 256) {
  const int channel = blockIdx.x * blockDim.x + threadIdx.x;
  if (channel >= p.channels) return;
  const Sums sums = sums_of(p, channel, 0, p.rows, 1);
  p.partial[channel] = sums.first;
  p.partial[p.channels + channel] = sums.second;
}

/** Adds the chunks. They are few, and a mean of many rows is worth the digits. */
KERNEL(batch_norm_finish, BatchNormFinishParams, 256) {
  const int channel = blockIdx.x * blockDim.x + threadIdx.x;
  if (channel >= p.channels) return;
  double first = 0.0, second = 0.0;
  for (int chunk = 0; chunk < p.chunks; chunk++) {
    const float* partial = p.partial + static_cast<size_t>(chunk) * 2 * p.channels + channel;
    first += static_cast<double>(partial[0]);
    second += static_cast<double>(partial[p.channels]);
  }
  p.first[channel] = static_cast<float>(first / static_cast<double>(p.divisor));
  if (p.second) p.second[channel] = static_cast<float>(second / static_cast<double>(p.divisor));
}
