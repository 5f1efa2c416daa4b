// dsDepthwiseConv2d with one output per channel. A block of threads computes a rectangle of pixels by some channels, each thread rows of four neighbouring pixels
// by four channels; the part of the input that they read is in shared memory as x̂. The input is an image, or float32 that is rounded on the way. Products of
// a weight and x̂ are exact; the channel's scale follows at the end.
#include "kernel.h"
#include "params/dsconv.h"
#include "dsconv_filter.cuh"
#include "dsconv_window.cuh"
#include "epilogue.cuh"

constexpr int DEPTHWISE_PIXELS = 4;

/** A quad of channels of an input pixel as x̂. Called by whole warps, since the lanes of a block find its exponent together; zeros for pixel -1. */
template <int quads>
__device__ __forceinline__ float4 read_quad(const DsconvParams& p, long long pixel, int channel) {
  float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  const int count = pixel < 0 ? 0 : min(max(p.inChannels - channel, 0), 4);
  if (!p.x) {
    if (count == 0) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const int block = channel / p.blockSize;
    const unsigned m = *reinterpret_cast<const unsigned*>(p.mantissas + pixel * p.pixelBytes + block * p.blockBytes + channel % p.blockSize);
    const float scale = p.scales[pixel * p.blocks + block] * SCALE_RESTORED;
    for (int n = 0; n < 4; n++) v[n] = static_cast<float>(static_cast<int8_t>(m >> (8 * n))) * scale;
    return make_float4(v[0], v[1], v[2], v[3]);
  }
  if (count == 4 && p.inChannels % 4 == 0) {
    const float4 x = *reinterpret_cast<const float4*>(p.x + pixel * p.inChannels + channel);
    v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
  } else {
    for (int n = 0; n < count; n++) v[n] = p.x[pixel * p.inChannels + channel + n];
  }
  unsigned peak = 0;
  for (int n = 0; n < 4; n++) peak = max(peak, magnitude_bits(v[n]));
  const int lanes = p.blockSize >= p.inChannels ? quads : p.blockSize / 4;
  for (int by = 1; by < lanes; by *= 2) peak = max(peak, __shfl_xor_sync(~0u, peak, by));
  const BfpGrid grid = grid_of(peak, p.bits);
  for (int n = 0; n < 4; n++) v[n] = static_cast<float>(mantissa_of(v[n], grid, p.bits)) * grid.scale;
  return make_float4(v[0], v[1], v[2], v[3]);
}

__device__ __forceinline__ void add_products(float (&y)[4], const float4& x, const float4& w) {
  y[0] = __fmaf_rn(x.x, w.x, y[0]);
  y[1] = __fmaf_rn(x.y, w.y, y[1]);
  y[2] = __fmaf_rn(x.z, w.z, y[2]);
  y[3] = __fmaf_rn(x.w, w.w, y[3]);
}

/** Four pixels side by side whose taps overlap: what a row of the input gives to several is read once. */
template <int kernel, int stride, int columns>
__device__ __forceinline__ void add_windows(const DsconvParams& p, const float4* x, int width, const float4* weights, float (&y)[DEPTHWISE_PIXELS][4]) {
  constexpr int quads = columns / 4, reach = (DEPTHWISE_PIXELS - 1) * stride + kernel;
#pragma unroll 1
  for (int kh = 0; kh < p.kernelHeight; kh++) {
    const float4* row = x + kh * p.dilationHeight * width * quads;
    float4 w[kernel];
#pragma unroll
    for (int kw = 0; kw < kernel; kw++) w[kw] = weights[(kh * kernel + kw) * quads];
#pragma unroll
    for (int at = 0; at < reach; at++) {
      const float4 v = row[at * quads];
#pragma unroll
      for (int n = 0; n < DEPTHWISE_PIXELS; n++) {
        const int kw = at - n * stride;
        if (kw >= 0 && kw < kernel) add_products(y[n], v, w[kw]);
      }
    }
  }
}

template <int columns>
__device__ __forceinline__ void ds_depthwise(const DsconvParams& p, float4* shared) {
  constexpr int quads = columns / 4;
  const Window window(p);
  const int quad = static_cast<int>(threadIdx.x) % quads;
  const int channel = static_cast<int>(blockIdx.y) * columns + quad * 4;
  float4* const weights = shared;
  float4* const values = shared + p.kernelHeight * p.kernelWidth * quads;
  const int rows = static_cast<int>(blockDim.x) / quads;
  for (int tap = threadIdx.x / quads; tap < p.kernelHeight * p.kernelWidth; tap += rows) {
    float w[4];
    for (int n = 0; n < 4; n++) w[n] = channel + n < p.outChannels ? static_cast<float>(row_weight(p, tap, channel + n)) : 0.0f;
    weights[tap * quads + quad] = make_float4(w[0], w[1], w[2], w[3]);
  }
  const int places = window.height * window.width;
  // Warps stay together for the exponents.
  for (int start = 0; start < places; start += rows) {
    const int place = start + static_cast<int>(threadIdx.x) / quads;
    const float4 v = read_quad<quads>(p, place < places ? window.input(p, place) : -1, channel);
    if (place < places) values[place * quads + quad] = v;
  }
#ifndef MUTATION_14  // what others fill is not waited for
  __syncthreads();
#endif
  const EpilogueQuad<DsconvParams> epilogue(p, 0, channel);
  float scale[4];
  for (int n = 0; n < 4; n++) scale[n] = channel + n < p.outChannels ? scale_of(p, 0, 0, channel + n) : 0.0f;
  const int lanes = lanes_of_block(p, quads);
  const int pixels = p.tileHeight * p.tileWidth;
  const bool dense = p.dilationWidth == 1;
  for (int start = 0; start < pixels; start += rows * DEPTHWISE_PIXELS) {
    const int pixel = start + static_cast<int>(threadIdx.x) / quads * DEPTHWISE_PIXELS;
    const int row = pixel / p.tileWidth, left = pixel % p.tileWidth;
    float y[DEPTHWISE_PIXELS][4] = {};
    if (pixel < pixels) {
      const float4* x = values + (row * p.strideHeight * window.width + left * p.strideWidth) * quads + quad;
      if (dense && p.kernelWidth == 3 && p.strideWidth == 1) {
        add_windows<3, 1, columns>(p, x, window.width, weights + quad, y);
      } else if (dense && p.kernelWidth == 3 && p.strideWidth == 2) {
        add_windows<3, 2, columns>(p, x, window.width, weights + quad, y);
      } else if (dense && p.kernelWidth == 5 && p.strideWidth == 1) {
        add_windows<5, 1, columns>(p, x, window.width, weights + quad, y);
      } else {
        for (int kh = 0; kh < p.kernelHeight; kh++) {
          for (int kw = 0; kw < p.kernelWidth; kw++) {
            const float4 w = weights[(kh * p.kernelWidth + kw) * quads + quad];
            const float4* from = x + (kh * p.dilationHeight * window.width + kw * p.dilationWidth) * quads;
#pragma unroll
            for (int n = 0; n < DEPTHWISE_PIXELS; n++) add_products(y[n], from[n * p.strideWidth * quads], w);
          }
        }
      }
    }
#pragma unroll
    for (int n = 0; n < DEPTHWISE_PIXELS; n++) {
      const int to = pixel < pixels ? window.output(p, row, left + n) : -1;
      if (to >= 0) {
        for (int c = 0; c < 4; c++) y[n][c] *= scale[c];
        epilogue.finish(p, to, y[n]);
      }
      write_quad(p, epilogue, to, to >= 0, lanes, y[n]);
    }
  }
}

KERNEL(ds_depthwise_64, DsconvParams, 256) {
  DYN_SMEM(float4, shared);
  ds_depthwise<64>(p, shared);
}

KERNEL(ds_depthwise_32, DsconvParams, 256) {
  DYN_SMEM(float4, shared);
  ds_depthwise<32>(p, shared);
}
