// Float32 convolution as a product: patches of the pictures times the filter, which is [taps * channels, outputs] as it lies in memory.
#include "kernel.h"
#include "params/conv.h"
#include "conv_patches.cuh"
#include "gemm_matrix.cuh"
#include "gemm_store.cuh"

namespace {

__device__ __forceinline__ PatchSource source_of(const ConvParams& p) {
  return {p.inHeight, p.inWidth, p.groupChannels, p.inChannels, p.kernelWidth, p.dilationHeight, p.dilationWidth};
}

/** The picture of a pixel of y, and what the first tap reads for it. */
struct Corner {
  const float* picture;
  int y, x;

  __device__ __forceinline__ Corner(const ConvParams& p, int pixel, int group) {
    const int outX = pixel % p.outWidth, row = pixel / p.outWidth;
    y = row % p.outHeight * p.strideHeight - p.padTop;
    x = outX * p.strideWidth - p.padLeft;
    picture = p.x + static_cast<long long>(row / p.outHeight) * p.inHeight * p.inWidth * p.inChannels + group * p.groupChannels;
  }
};

template <class S, bool VECTOR>
struct ForwardOperands {
  PatchSource from;
  PatchSide<S::A_ROW, VECTOR> a;
  MatrixSide<S::BN, S::B_ROW, VECTOR> b;

  __device__ __forceinline__ ForwardOperands(const ConvParams& p, const GemmBlock& block, const Corner& corner, int first, int end)
      : from(source_of(p)),
        a(from, corner.picture, corner.y, corner.x, block.m0 + a.row() < p.pixels, first, end),
        b(p.filter + block.other * p.groupOutputs, p.outChannels, false, block.n0, p.groupOutputs, first, end) {}

  __device__ __forceinline__ void fetch() {
    a.fetch(from);
    b.fetch();
  }
  __device__ __forceinline__ void store(GemmShared<S>& to, int half) const {
    a.store(to.a[half]);
    b.store(to.b[half]);
  }
};

/** The sum of depths first to end of one output, tap by tap, skipping those outside. */
__device__ float sum_of(const ConvParams& p, int pixel, int group, int output, int first, int end) {
  const PatchSource from = source_of(p);
  const Corner corner(p, pixel, group);
  PatchPlace at(from, corner.y, corner.x, first);
  const float* filter = p.filter + static_cast<long long>(first) * p.outChannels + group * p.groupOutputs + output;
  float sum = 0.0f;
  for (int depth = first; depth < end; depth++) {
    if (at.inside(from)) sum = fmaf(corner.picture[at.offset(from)], *filter, sum);
    filter += p.outChannels;
    at.advance(from, 1);
  }
  return sum;
}

template <class S, bool VECTOR>
__device__ __forceinline__ void convolve(const ConvParams& p) {
  __shared__ GemmShared<S> shared;
  const GemmPlace<S> place;
  float sum[8][4 * S::QN] = {};
  const int depths = p.kernelHeight * p.kernelWidth * p.groupChannels;
  {
    const GemmBlock block = GemmBlock::of<S>(p.tilesN, p.tilesM, p.groups);
    if (threadIdx.x == 0) shared.block = block;
    const int first = block.split * p.splitDepth, end = min(depths, first + p.splitDepth);
    ForwardOperands<S, VECTOR> operands(p, block, Corner(p, block.m0 + PatchSide<S::A_ROW, VECTOR>::row(), block.other), first, end);
    gemm_accumulate<S>(shared, operands, (end - first + GEMM_DEPTH - 1) / GEMM_DEPTH, place, sum);
  }
  const GemmBlock block = shared.block;
  const int column = block.other * p.groupOutputs + block.n0;
  float* share = p.splits > 1 ? p.partial + static_cast<size_t>(block.split) * p.pixels * p.outChannels : nullptr;
  const auto at = [&](int row) {
    return block.m0 + row < p.pixels ? static_cast<long long>(block.m0 + row) * p.outChannels + column : -1ll;
  };
  const unsigned long long odd = p.padded ? gemm_odd<S>(sum) : 0;
  gemm_store<S, VECTOR, true>(p, place, sum, at, p.groupOutputs - block.n0, column, share, p.y);
  const auto again = [&](int row, int n) {
    const int first = block.split * p.splitDepth;
    return sum_of(p, block.m0 + row, block.other, block.n0 + n, first, min(depths, first + p.splitDepth));
  };
  gemm_repair<S, true>(p, place, odd, at, p.groupOutputs - block.n0, column, share, p.y, again);
}

}  // namespace

/** 128 pixels × 128 outputs; channels and outputs of a group come in fours. */
GEMM_KERNEL(conv_wide, ConvParams, 256, 2) { convolve<GemmWide, true>(p); }

/** 64 × 64. */
GEMM_KERNEL(conv_small, ConvParams, 128, 5) { convolve<GemmSmall, true>(p); }

/** 64 × 64, of any channels. */
GEMM_KERNEL(conv_any, ConvParams, 128, 5) { convolve<GemmSmall, false>(p); }

/** One value of y per thread. */
KERNEL(conv_naive, ConvParams, 256) {
  const size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<size_t>(p.pixels) * p.outChannels) return;
  const int pixel = static_cast<int>(at / p.outChannels), column = static_cast<int>(at % p.outChannels);
  const float sum = sum_of(p, pixel, column / p.groupOutputs, column % p.groupOutputs, 0, p.kernelHeight * p.kernelWidth * p.groupChannels);
  p.y[at] = finished(p, sum, at, column);
}
