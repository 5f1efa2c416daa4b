// The gradient of a float32 convolution by its filter, as a product: a row is a weight's tap and channel, the depths are the pixels of dy, which are many, so
// that blocks share them.
#include "kernel.h"
#include "params/conv.h"
#include "conv_pixels.cuh"
#include "gemm_matrix.cuh"
#include "gemm_store.cuh"

namespace {

/** The weight of a row. */
__device__ __forceinline__ Weight<ConvFilterGradientParams> weight_of(const ConvFilterGradientParams& p, int row) {
  return {p, row / p.inChannels, row % p.inChannels};
}

__device__ __forceinline__ int rows_of(const ConvFilterGradientParams& p) { return p.kernelHeight * p.kernelWidth * p.inChannels; }

template <class S, bool VECTOR>
struct FilterGradientOperands {
  const ConvFilterGradientParams& p;
  OutputPixel<ConvFilterGradientParams> pixel;
  Weight<ConvFilterGradientParams> weight;
  int row, left;
  int place;
  GemmQuad a;
  MatrixSide<S::BN, S::B_ROW, VECTOR> b;

  static __device__ __forceinline__ int depth() { return threadIdx.x / (S::BM / 4); }
  static __device__ __forceinline__ int column() { return threadIdx.x % (S::BM / 4) * 4; }

  __device__ __forceinline__ FilterGradientOperands(const ConvFilterGradientParams& p, const GemmBlock& block, int first, int end)
      : p(p),
        pixel(p, first + depth()),
        weight(weight_of(p, block.m0 + column())),
        row(block.m0 + column()),
        left(row < rows_of(p) ? end - first - depth() : 0),
        place(depth() * S::A_ROW + column()),
        b(p.dy, p.outChannels, false, block.n0, p.outChannels, first, end) {}

  __device__ __forceinline__ void fetch() {
    a = {};
    if (left > 0) {
      if (VECTOR) {
        const int offset = weight.offset(p, pixel);
        if (offset >= 0) a = load_quad(pixel.picture + offset);
      } else {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const int offset = row + j < rows_of(p) ? weight_of(p, row + j).offset(p, pixel) : -1;
          if (offset >= 0) a.v[j] = pixel.picture[offset];
        }
      }
    }
    pixel.advance(p, GEMM_DEPTH);
    left -= GEMM_DEPTH;
    b.fetch();
  }

  __device__ __forceinline__ void store(GemmShared<S>& to, int half) const {
    store_along(to.a[half] + place, a);
    b.store(to.b[half]);
  }
};

/** The sum over the pixels first to end for one weight, without those whose tap lies outside. */
__device__ float sum_of(const ConvFilterGradientParams& p, int row, int output, int first, int end) {
  const auto weight = weight_of(p, row);
  OutputPixel<ConvFilterGradientParams> pixel(p, first);
  float sum = 0.0f;
  for (int n = first; n < end; n++) {
    const int offset = weight.offset(p, pixel);
    if (offset >= 0) sum = fmaf(pixel.picture[offset], p.dy[static_cast<long long>(n) * p.outChannels + output], sum);
    pixel.advance(p, 1);
  }
  return sum;
}

template <class S, bool VECTOR>
__device__ __forceinline__ void accumulate(const ConvFilterGradientParams& p) {
  __shared__ GemmShared<S> shared;
  const GemmPlace<S> place;
  float sum[8][4 * S::QN] = {};
  {
    const GemmBlock block = GemmBlock::of<S>(p.tilesN, p.tilesM, 1);
    if (threadIdx.x == 0) shared.block = block;
    const int first = block.split * p.splitDepth, end = min(p.pixels, first + p.splitDepth);
    FilterGradientOperands<S, VECTOR> operands(p, block, first, end);
    gemm_accumulate<S>(shared, operands, (end - first + GEMM_DEPTH - 1) / GEMM_DEPTH, place, sum);
  }
  const GemmBlock block = shared.block;
  const int rows = rows_of(p);
  float* share = p.splits > 1 ? p.partial + static_cast<size_t>(block.split) * rows * p.outChannels : nullptr;
  const auto at = [&](int row) { return block.m0 + row < rows ? static_cast<long long>(block.m0 + row) * p.outChannels + block.n0 : -1ll; };
  const unsigned long long odd = gemm_odd<S>(sum);
  gemm_store<S, VECTOR, false>(p, place, sum, at, p.outChannels - block.n0, block.n0, share, p.dw);
  const auto again = [&](int row, int n) {
    const int first = block.split * p.splitDepth;
    return sum_of(p, block.m0 + row, block.n0 + n, first, min(p.pixels, first + p.splitDepth));
  };
  gemm_repair<S, false>(p, place, odd, at, p.outChannels - block.n0, block.n0, share, p.dw, again);
}

}  // namespace

/** 128 weights of an output × 128 outputs; channels and outputs come in fours. */
GEMM_KERNEL(conv_filter_gradient_wide, ConvFilterGradientParams, 256, 2) { accumulate<GemmWide, true>(p); }

/** 64 × 64. */
GEMM_KERNEL(conv_filter_gradient_small, ConvFilterGradientParams, 128, 5) { accumulate<GemmSmall, true>(p); }

/** 64 × 64, of any channels. */
GEMM_KERNEL(conv_filter_gradient_any, ConvFilterGradientParams, 128, 5) { accumulate<GemmSmall, false>(p); }

/** One weight per thread. */
KERNEL(conv_filter_gradient_naive, ConvFilterGradientParams, 256) {
  const size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<size_t>(rows_of(p)) * p.outChannels) return;
  p.dw[at] = sum_of(p, static_cast<int>(at / p.outChannels), static_cast<int>(at % p.outChannels), 0, p.pixels);
}
