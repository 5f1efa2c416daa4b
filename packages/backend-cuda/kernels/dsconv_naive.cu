// DSConv2D and DSDepthwiseConv2D as NUMERICS §4 writes them: one output per thread, one weight and one mantissa after the other. What the fast kernels are
// compared with, and what serves the cases they do not: shifters of large blocks, scales beyond 2^90, depthwise convolutions with several outputs per channel.
#include "kernel.h"
#include "params/dsconv.h"
#include "dsconv_filter.cuh"
#include "epilogue.cuh"

/** The output of this thread, and where its window begins. */
struct NaiveOutput {
  size_t at;
  int channel, top, left;
  /** First input pixel of the picture. */
  size_t picture;
  bool exists;
};

__device__ __forceinline__ NaiveOutput naive_output(const DsconvParams& p) {
  NaiveOutput o;
  o.at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  o.exists = o.at < static_cast<size_t>(p.pixels) * p.outChannels;
  const int pixel = static_cast<int>(o.at / p.outChannels);
  o.channel = static_cast<int>(o.at % p.outChannels);
  o.top = pixel / p.outWidth % p.outHeight * p.strideHeight - p.padTop;
  o.left = pixel % p.outWidth * p.strideWidth - p.padLeft;
  o.picture = static_cast<size_t>(pixel / (p.outWidth * p.outHeight)) * p.inHeight * p.inWidth;
  return o;
}

/** Calls `add(input pixel, tap)` for the taps that lie inside. */
template <class Add>
__device__ __forceinline__ void for_taps(const DsconvParams& p, const NaiveOutput& o, Add add) {
#pragma unroll 1
  for (int kh = 0; kh < p.kernelHeight; kh++) {
    const int h = o.top + kh * p.dilationHeight;
    if (h < 0 || h >= p.inHeight) continue;
#pragma unroll 1
    for (int kw = 0; kw < p.kernelWidth; kw++) {
      const int w = o.left + kw * p.dilationWidth;
      if (w >= 0 && w < p.inWidth) add(o.picture + static_cast<size_t>(h) * p.inWidth + w, kh * p.kernelWidth + kw);
    }
  }
}

/** Finishes one output and writes it as float32. */
__device__ __forceinline__ void naive_write(const DsconvParams& p, const NaiveOutput& o, float sum) {
  float y = sum + (p.bias ? p.bias[o.channel] : 0.0f);
  if (p.residual) {
    y += p.residual[o.at];
  } else if (p.residualMantissas) {
    const size_t pixel = o.at / p.outChannels;
    const int block = o.channel / p.residualBlock;
    const int8_t m = p.residualMantissas[pixel * p.residualPixelBytes + block * p.residualBlockBytes + o.channel % p.residualBlock];
    y += static_cast<float>(m) * (p.residualScales[pixel * p.residualBlocks + block] * SCALE_RESTORED);
  }
  p.result[o.at] = dsconv_activate(y, p.activation, p.activation == DSCONV_PRELU ? p.slopes[o.channel] : p.alpha);
}

template <bool fragments>
__device__ __forceinline__ float naive_sum(const DsconvParams& p, const NaiveOutput& out) {
  const int group = out.channel / p.groupOutputs, o = out.channel % p.groupOutputs;
  float y = 0.0f;
  for_taps(p, out, [&](size_t pixel, int tap) {
#pragma unroll 1
    for (int block = 0; block < p.blocks; block++) {
      const int8_t* m = p.mantissas + pixel * p.pixelBytes + group * p.groupBytes + block * p.blockBytes;
      int product = 0, total = 0;
#pragma unroll 1
      for (int i = 0; i < min(p.blockSize, p.depth - block * p.blockSize); i++) {
        const int weight = fragments ? fragment_weight(p, group, o, tap * p.groupChunks + block * p.blockChunks + i / 32, i % 32)
                                     : row_weight(p, tap * p.depth + block * p.blockSize + i, o);
        product += weight * m[i];
        total += m[i];
      }
      const int row = tap * p.blocks + block;
      const float scale = p.scales[(pixel * p.groups + group) * p.blocks + block] * SCALE_RESTORED;
      y += scale * (scale_of(p, group, row, o) * static_cast<float>(product));
      if (p.shifts) y += scale * (shift_of(p, group, row, o) * static_cast<float>(total));
    }
  });
  return y;
}

KERNEL(dsconv2d_naive, DsconvParams, DSCONV_BOUNDS(128, 8)) {
  const NaiveOutput out = naive_output(p);
  if (!out.exists) return;
  naive_write(p, out, p.weightForm == 0 ? naive_sum<true>(p, out) : naive_sum<false>(p, out));
}

KERNEL(ds_depthwise_naive, DsconvParams, 128) {
  const NaiveOutput out = naive_output(p);
  if (!out.exists) return;
  const int channel = out.channel / p.multiplier;
  const int block = channel / p.blockSize;
  const float weightScale = scale_of(p, 0, 0, out.channel);
  float y = 0.0f;
  for_taps(p, out, [&](size_t pixel, int tap) {
    const int m = p.mantissas[pixel * p.pixelBytes + block * p.blockBytes + channel % p.blockSize];
    const float scale = p.scales[pixel * p.blocks + block] * SCALE_RESTORED;
    y += scale * (weightScale * static_cast<float>(row_weight(p, tap, out.channel) * m));
  });
  naive_write(p, out, y);
}

/** Float activations: a convolution with the float weights that the filter stands for, HWIO, or `[kh, kw, C, multiplier]`. */
KERNEL(dsconv2d_float, DsconvParams, 128) {
  const NaiveOutput out = naive_output(p);
  if (!out.exists) return;
  const float* weights = static_cast<const float*>(p.weights) + out.channel;
  const int first = p.multiplier > 0 ? out.channel / p.multiplier : out.channel / p.groupOutputs * p.depth;
  float y = 0.0f;
  for_taps(p, out, [&](size_t pixel, int tap) {
    const float* x = p.x + pixel * p.inChannels + first;
    const float* w = weights + static_cast<size_t>(tap) * p.depth * p.outChannels;
    for (int i = 0; i < p.depth; i++) y += x[i] * w[static_cast<size_t>(i) * p.outChannels];
  });
  naive_write(p, out, y);
}
