// Float32 depthwise convolution. A thread makes neighbouring pixels of a row, which share the weights; there are few products for each byte, so what matters is
// that neighbouring threads read neighbouring channels.
#include "kernel.h"
#include "params/depthwise_float.h"
#include "conv_epilogue.cuh"

namespace {

/** Pixels of a thread. */
constexpr int PIXELS = 4;

/** V neighbouring channels. */
template <int V>
struct Channels {
  float v[V];

  static __device__ __forceinline__ Channels load(const float* from) {
    if constexpr (V == 4) {
      const float4 q = *reinterpret_cast<const float4*>(from);
      return {{q.x, q.y, q.z, q.w}};
    } else {
      return {{from[0]}};
    }
  }

  __device__ __forceinline__ void store(float* to) const {
    if constexpr (V == 4) {
      *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
      to[0] = v[0];
    }
  }
};

/** With V = 4 the multiplier is 1 and channels come in fours. */
template <int V>
__device__ __forceinline__ void depthwise(const DepthwiseFloatParams& p) {
  const int outChannels = p.inChannels * p.multiplier, runs = (p.outWidth + PIXELS - 1) / PIXELS;
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x, parts = outChannels / V;
  const int channel = index % parts * V, run = index / parts % runs;
  const int row = static_cast<int>(index / parts / runs);
  if (row >= p.rows) return;
  const int top = row % p.outHeight * p.strideHeight - p.padTop;
  const float* picture = p.x + static_cast<long long>(row / p.outHeight) * p.inHeight * p.inWidth * p.inChannels + channel / p.multiplier;
  Channels<V> sum[PIXELS] = {};
  for (int ky = 0; ky < p.kernelHeight; ky++) {
    const int y = top + ky * p.dilationHeight;
    if (y < 0 || y >= p.inHeight) continue;
    for (int kx = 0; kx < p.kernelWidth; kx++) {
      const auto weights = Channels<V>::load(p.filter + (ky * p.kernelWidth + kx) * outChannels + channel);
      const int left = run * PIXELS * p.strideWidth + kx * p.dilationWidth - p.padLeft;
#pragma unroll
      for (int n = 0; n < PIXELS; n++) {
        const int x = left + n * p.strideWidth;
        if (x < 0 || x >= p.inWidth) continue;
        const auto values = Channels<V>::load(picture + (y * p.inWidth + x) * p.inChannels);
#pragma unroll
        for (int c = 0; c < V; c++) sum[n].v[c] = fmaf(values.v[c], weights.v[c], sum[n].v[c]);
      }
    }
  }
#pragma unroll 1
  for (int n = 0; n < PIXELS && run * PIXELS + n < p.outWidth; n++) {
    const size_t at = (static_cast<size_t>(row) * p.outWidth + run * PIXELS + n) * outChannels + channel;
    Channels<V> result = sum[0];
#pragma unroll
    for (int m = 1; m < PIXELS; m++) {
      if (n == m) result = sum[m];
    }
#pragma unroll
    for (int c = 0; c < V; c++) result.v[c] = finished(p, result.v[c], at + c, channel + c);
    result.store(p.y + at);
  }
}

}  // namespace

KERNEL(depthwise_float, DepthwiseFloatParams, 256) { depthwise<4>(p); }

/** Of any channels and multiplier. */
KERNEL(depthwise_float_any, DepthwiseFloatParams, 256) { depthwise<1>(p); }

/** One value of y per thread. */
KERNEL(depthwise_float_naive, DepthwiseFloatParams, 256) {
  const int outChannels = p.inChannels * p.multiplier;
  const size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<size_t>(p.rows) * p.outWidth * outChannels) return;
  const int o = static_cast<int>(at % outChannels), outX = static_cast<int>(at / outChannels % p.outWidth);
  const int row = static_cast<int>(at / outChannels / p.outWidth);
  float sum = 0.0f;
  for (int tap = 0; tap < p.kernelHeight * p.kernelWidth; tap++) {
    const int y = row % p.outHeight * p.strideHeight - p.padTop + tap / p.kernelWidth * p.dilationHeight;
    const int x = outX * p.strideWidth - p.padLeft + tap % p.kernelWidth * p.dilationWidth;
    if (y < 0 || y >= p.inHeight || x < 0 || x >= p.inWidth) continue;
    const size_t pixel = (static_cast<size_t>(row / p.outHeight) * p.inHeight + y) * p.inWidth + x;
    sum = fmaf(p.x[pixel * p.inChannels + o / p.multiplier], p.filter[static_cast<size_t>(tap) * outChannels + o], sum);
  }
  p.y[at] = finished(p, sum, at, o);
}
