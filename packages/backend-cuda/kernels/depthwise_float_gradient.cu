// Gradients of the float32 depthwise convolution, by its input and by its filter.
#include "kernel.h"
#include "params/depthwise_float.h"
#include "conv_pixels.cuh"

namespace {

/** Pixel of dy that a tap links with pixel `at` of x along one axis, or -1. */
__device__ __forceinline__ int linked(int at, int pad, int tap, int dilation, int stride, int out) {
  const int from = at + pad - tap * dilation;
  if (from < 0 || from % stride != 0) return -1;
  return from / stride < out ? from / stride : -1;
}

/** Calls `visit(pixel of dy within its picture, tap)` for all that pixel (y, x) of x is read by. */
template <class Visit>
__device__ __forceinline__ void each_reader(const DepthwiseFloatInputGradientParams& p, int y, int x, Visit visit) {
  for (int ky = 0; ky < p.kernelHeight; ky++) {
    const int outY = linked(y, p.padTop, ky, p.dilationHeight, p.strideHeight, p.outHeight);
    if (outY < 0) continue;
    for (int kx = 0; kx < p.kernelWidth; kx++) {
      const int outX = linked(x, p.padLeft, kx, p.dilationWidth, p.strideWidth, p.outWidth);
      if (outX >= 0) visit(outY * p.outWidth + outX, ky * p.kernelWidth + kx);
    }
  }
}

}  // namespace

/** Four channels per thread; the multiplier is 1. */
KERNEL(depthwise_float_input_gradient, DepthwiseFloatInputGradientParams, 256) {
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x, quads = p.inChannels / 4;
  const int channel = index % quads * 4;
  const int pixel = static_cast<int>(index / quads);
  if (pixel >= p.pixels) return;
  const int row = pixel / p.inWidth;
  const float* dy = p.dy + static_cast<long long>(row / p.inHeight) * p.outHeight * p.outWidth * p.inChannels + channel;
  float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  each_reader(p, row % p.inHeight, pixel % p.inWidth, [&](int from, int tap) {
    const float4 d = *reinterpret_cast<const float4*>(dy + from * p.inChannels);
    const float4 w = *reinterpret_cast<const float4*>(p.filter + tap * p.inChannels + channel);
    sum.x = fmaf(d.x, w.x, sum.x);
    sum.y = fmaf(d.y, w.y, sum.y);
    sum.z = fmaf(d.z, w.z, sum.z);
    sum.w = fmaf(d.w, w.w, sum.w);
  });
  *reinterpret_cast<float4*>(p.dx + static_cast<size_t>(pixel) * p.inChannels + channel) = sum;
}

/** One channel per thread, of any multiplier. */
KERNEL(depthwise_float_input_gradient_any, DepthwiseFloatInputGradientParams, 256) {
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
  const int channel = index % static_cast<unsigned>(p.inChannels), outChannels = p.inChannels * p.multiplier;
  const int pixel = static_cast<int>(index / static_cast<unsigned>(p.inChannels));
  if (pixel >= p.pixels) return;
  const int row = pixel / p.inWidth;
  const float* dy = p.dy + static_cast<long long>(row / p.inHeight) * p.outHeight * p.outWidth * outChannels + channel * p.multiplier;
  float sum = 0.0f;
  each_reader(p, row % p.inHeight, pixel % p.inWidth, [&](int from, int tap) {
    const float* weights = p.filter + tap * outChannels + channel * p.multiplier;
    for (int m = 0; m < p.multiplier; m++) sum = fmaf(dy[from * outChannels + m], weights[m], sum);
  });
  p.dx[static_cast<size_t>(pixel) * p.inChannels + channel] = sum;
}

/** 32 outputs of one tap and a share of the pixels per block, eight of them at a time. */
KERNEL(depthwise_float_filter_gradient, DepthwiseFloatFilterGradientParams, 256) {
  constexpr int LANES = 32, ROWS = 8;
  __shared__ float sums[ROWS][LANES];
  const int lane = threadIdx.x % LANES, thread = threadIdx.x / LANES, outChannels = p.inChannels * p.multiplier;
  const int o = blockIdx.x * LANES + lane, tap = blockIdx.y;
  const int first = blockIdx.z * p.splitDepth, end = min(p.pixels, first + p.splitDepth);
  float sum = 0.0f;
  if (o < outChannels) {
    const Weight<DepthwiseFloatFilterGradientParams> weight(p, tap, o / p.multiplier);
    OutputPixel<DepthwiseFloatFilterGradientParams> pixel(p, first + thread);
    for (int n = first + thread; n < end; n += ROWS) {
      const int offset = weight.offset(p, pixel);
      if (offset >= 0) sum = fmaf(pixel.picture[offset], p.dy[static_cast<size_t>(n) * outChannels + o], sum);
      pixel.advance(p, ROWS);
    }
  }
  sums[thread][lane] = sum;
#if !defined(MUTATION_10)  // the sums of others are not waited for
  __syncthreads();
#endif
  if (thread != 0 || o >= outChannels) return;
  for (int n = 1; n < ROWS; n++) sum += sums[n][lane];
  const size_t taps = static_cast<size_t>(p.kernelHeight) * p.kernelWidth;
  p.dw[(blockIdx.z * taps + tap) * outChannels + o] = sum;
}

/** One weight per thread. */
KERNEL(depthwise_float_filter_gradient_naive, DepthwiseFloatFilterGradientParams, 256) {
  const int outChannels = p.inChannels * p.multiplier, at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= p.kernelHeight * p.kernelWidth * outChannels) return;
  const Weight<DepthwiseFloatFilterGradientParams> weight(p, at / outChannels, at % outChannels / p.multiplier);
  OutputPixel<DepthwiseFloatFilterGradientParams> pixel(p, 0);
  float sum = 0.0f;
  for (int n = 0; n < p.pixels; n++) {
    const int offset = weight.offset(p, pixel);
    if (offset >= 0) sum = fmaf(pixel.picture[offset], p.dy[static_cast<size_t>(n) * outChannels + at % outChannels], sum);
    pixel.advance(p, 1);
  }
  p.dw[at] = sum;
}
