// Largest values and means of windows. Padding takes no part; a mean is that of the values inside.
#include "kernel.h"
#include "params/pool.h"

namespace {

/** NaN is larger than everything: nothing is swallowed. */
struct Largest {
  float v = -INFINITY;
  __device__ __forceinline__ void add(float x) {
    if (x > v || isnan(x)) v = x;
  }
  __device__ __forceinline__ float result(int) const { return v; }
};

struct Mean {
  float v = 0.0f;
  __device__ __forceinline__ void add(float x) { v += x; }
  __device__ __forceinline__ float result(int count) const { return v / static_cast<float>(count); }
};

/** V neighbouring channels of a pixel per thread. */
template <class Of, int V>
__device__ __forceinline__ void pool(const PoolParams& p) {
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x, parts = p.channels / V;
  const int channel = index % parts * V;
  const int pixel = static_cast<int>(index / parts);
  if (pixel >= p.pixels) return;
  const int row = pixel / p.outWidth, top = row % p.outHeight * p.strideHeight - p.padTop, left = pixel % p.outWidth * p.strideWidth - p.padLeft;
  const int firstY = max(top, 0), endY = min(top + p.kernelHeight, p.inHeight), firstX = max(left, 0), endX = min(left + p.kernelWidth, p.inWidth);
  const float* picture = p.x + static_cast<long long>(row / p.outHeight) * p.inHeight * p.inWidth * p.channels + channel;
  Of found[V];
  for (int y = firstY; y < endY; y++) {
    for (int x = firstX; x < endX; x++) {
      const float* from = picture + (y * p.inWidth + x) * p.channels;
      if constexpr (V == 4) {
        const float4 q = *reinterpret_cast<const float4*>(from);
        found[0].add(q.x);
        found[1].add(q.y);
        found[2].add(q.z);
        found[3].add(q.w);
      } else {
        found[0].add(from[0]);
      }
    }
  }
  const int count = max(endY - firstY, 0) * max(endX - firstX, 0);
  float* to = p.y + static_cast<size_t>(pixel) * p.channels + channel;
  if constexpr (V == 4) {
    *reinterpret_cast<float4*>(to) = make_float4(found[0].result(count), found[1].result(count), found[2].result(count), found[3].result(count));
  } else {
    to[0] = found[0].result(count);
  }
}

}  // namespace

/** Channels come in fours. */
KERNEL(pool_max, PoolParams, 256) { pool<Largest, 4>(p); }
KERNEL(pool_mean, PoolParams, 256) { pool<Mean, 4>(p); }

/** Of any channels. */
KERNEL(pool_max_any, PoolParams, 256) { pool<Largest, 1>(p); }
KERNEL(pool_mean_any, PoolParams, 256) { pool<Mean, 1>(p); }
