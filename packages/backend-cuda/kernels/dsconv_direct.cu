// dsconv2d of few input channels (a network's first layer), where products on tensor cores would be mostly zeros. A block of threads computes a rectangle of
// pixels by some channels; each thread four neighbouring pixels by eight channels. The input is float32 and rounded on the way into shared memory, or an image.
// Sums of a block are whole numbers of at most 24 bits times a power of two, which float32 holds exactly (NUMERICS §4); they are added, scaled, one by one.
#include "kernel.h"
#include "params/dsconv.h"
#include "dsconv_filter.cuh"
#include "dsconv_window.cuh"
#include "epilogue.cuh"

constexpr int DIRECT_THREADS = 128, DIRECT_PIXELS = 4, DIRECT_CHANNELS = 8;

/** x̂ of the part that is read, `[place][channel]`. */
__device__ __forceinline__ void fill_window(const DsconvParams& p, const Window& window, float* to) {
  for (int place = threadIdx.x; place < window.height * window.width; place += DIRECT_THREADS) {
    const long long pixel = window.input(p, place);
    float* row = to + place * p.inChannels;
    for (int block = 0; block < p.blocks; block++) {
      const int first = block * p.blockSize, count = min(p.blockSize, p.inChannels - first);
      if (pixel < 0) {
        for (int i = 0; i < count; i++) row[first + i] = 0.0f;
      } else if (p.x) {
        const float* x = p.x + pixel * p.inChannels + first;
        unsigned peak = 0;
        for (int i = 0; i < count; i++) peak = max(peak, magnitude_bits(x[i]));
        const BfpGrid grid = grid_of(peak, p.bits);
        for (int i = 0; i < count; i++) row[first + i] = static_cast<float>(mantissa_of(x[i], grid, p.bits)) * grid.scale;
      } else {
        const int8_t* m = p.mantissas + pixel * p.pixelBytes + block * p.blockBytes;
        const float scale = p.scales[pixel * p.blocks + block] * SCALE_RESTORED;
        for (int i = 0; i < count; i++) row[first + i] = static_cast<float>(m[i]) * scale;
      }
    }
  }
}

template <int columns>
__device__ __forceinline__ void dsconv2d_direct(const DsconvParams& p, float* shared) {
  constexpr int across = columns / DIRECT_CHANNELS, stride = columns + 4;
  const Window window(p);
  const int firstOutput = static_cast<int>(blockIdx.y) * columns;
  float* const values = shared;
  // One row of taps at a time: weights [kw][depth][column], scales [kw][block][column].
  float* const weights = values + (window.height * window.width * p.inChannels + 3) / 4 * 4;
  float* const scales = weights + p.kernelWidth * p.depth * columns;
  fill_window(p, window, values);
  const int column = static_cast<int>(threadIdx.x) % across * DIRECT_CHANNELS;
  const int pixel = static_cast<int>(threadIdx.x) / across * DIRECT_PIXELS;
  const int row = pixel / p.tileWidth, left = pixel % p.tileWidth;
  float y[DIRECT_PIXELS][DIRECT_CHANNELS] = {};
  for (int kh = 0; kh < p.kernelHeight; kh++) {
#ifndef MUTATION_13  // weights are written over before all have read them
    // The last row of taps is done with.
    __syncthreads();
#endif
    for (int n = threadIdx.x; n < p.kernelWidth * p.depth * columns; n += DIRECT_THREADS) {
      const int o = firstOutput + n % columns;
      weights[n] = o < p.paddedOutputs ? static_cast<float>(row_weight(p, kh * p.kernelWidth * p.depth + n / columns, o)) : 0.0f;
    }
    for (int n = threadIdx.x; n < p.kernelWidth * p.blocks * columns; n += DIRECT_THREADS) {
      const int o = firstOutput + n % columns;
      scales[n] = o < p.paddedOutputs ? scale_of(p, 0, kh * p.kernelWidth * p.blocks + n / columns, o) : 0.0f;
    }
#ifndef MUTATION_12  // what others fill is not waited for
    __syncthreads();
#endif
    for (int kw = 0; kw < p.kernelWidth; kw++) {
      const float* x = values + ((row * p.strideHeight + kh * p.dilationHeight) * window.width + left * p.strideWidth + kw * p.dilationWidth) * p.inChannels;
      const int step = p.strideWidth * p.inChannels;
      for (int block = 0; block < p.blocks; block++) {
        const int first = block * p.blockSize, end = min(first + p.blockSize, p.depth);
        float sums[DIRECT_PIXELS][DIRECT_CHANNELS] = {};
        for (int i = first; i < end; i++) {
          const float4* from = reinterpret_cast<const float4*>(weights + (kw * p.depth + i) * columns + column);
          const float4 a = from[0], b = from[1];
          const float w[DIRECT_CHANNELS] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
          for (int n = 0; n < DIRECT_PIXELS; n++) {
            const float v = x[n * step + i];
#pragma unroll
            for (int c = 0; c < DIRECT_CHANNELS; c++) sums[n][c] = __fmaf_rn(v, w[c], sums[n][c]);
          }
        }
        const float* s = scales + (kw * p.blocks + block) * columns + column;
#pragma unroll
        for (int n = 0; n < DIRECT_PIXELS; n++) {
#pragma unroll
          for (int c = 0; c < DIRECT_CHANNELS; c++) y[n][c] = __fmaf_rn(sums[n][c], s[c], y[n][c]);
        }
      }
    }
  }
  __syncthreads();
  float* const tile = shared;
#pragma unroll
  for (int n = 0; n < DIRECT_PIXELS; n++) {
    float4* to = reinterpret_cast<float4*>(tile + (pixel + n) * stride + column);
    to[0] = make_float4(y[n][0], y[n][1], y[n][2], y[n][3]);
    to[1] = make_float4(y[n][4], y[n][5], y[n][6], y[n][7]);
  }
  __syncthreads();
  write_tile<columns>(p, tile, stride, DIRECT_THREADS / across * DIRECT_PIXELS, 0, firstOutput,
                      [&](int place) { return window.output(p, place / p.tileWidth, place % p.tileWidth); });
}

KERNEL(dsconv2d_direct_64, DsconvParams, DIRECT_THREADS) {
  DYN_SMEM(float, shared);
  dsconv2d_direct<64>(p, shared);
}

KERNEL(dsconv2d_direct_32, DsconvParams, DIRECT_THREADS) {
  DYN_SMEM(float, shared);
  dsconv2d_direct<32>(p, shared);
}
