// The gradient of a float32 convolution by its input, as products: patches of dy times the filter, transposed tap by tap.
//
// With stride s, a pixel of x is reached by the taps whose number is (pixel + padding) modulo s. So pixels fall into s classes along either axis; in each, tap
// class + s * j of the pixel number n reads pixel first + n - j of dy: a convolution of stride 1 with fewer taps, in which nothing is multiplied in vain.
#include "kernel.h"
#include "params/conv.h"
#include "conv_patches.cuh"
#include "gemm_store.cuh"

namespace {

/** A class along one axis. */
struct ClassAxis {
  /** Its first pixel of x, how many there are, how many taps reach each, and the pixel of dy that tap 0 of the first reads. */
  int first, count, taps, from;

  __device__ __forceinline__ ClassAxis(int number, int in, int kernel, int stride, int pad) {
    first = ((number - pad) % stride + stride) % stride;
    count = first < in ? (in - first + stride - 1) / stride : 0;
    taps = number < kernel ? (kernel - number + stride - 1) / stride : 0;
    from = (first + pad - number) / stride;
  }
};

struct PixelClass {
  int numberY, numberX;
  ClassAxis y, x;

  __device__ __forceinline__ PixelClass(const ConvInputGradientParams& p, int number)
      : numberY(number / p.strideWidth),
        numberX(number % p.strideWidth),
        y(numberY, p.inHeight, p.kernelHeight, p.strideHeight, p.padTop),
        x(numberX, p.inWidth, p.kernelWidth, p.strideWidth, p.padLeft) {}

  __device__ __forceinline__ int rows(const ConvInputGradientParams& p) const { return p.batch * y.count * x.count; }
  __device__ __forceinline__ int depths(const ConvInputGradientParams& p) const { return y.taps * x.taps * p.outChannels; }
  __device__ __forceinline__ int splitDepth(const ConvInputGradientParams& p) const {
    const int depth = (depths(p) + p.splits - 1) / p.splits;
    return (depth + GEMM_DEPTH - 1) / GEMM_DEPTH * GEMM_DEPTH;
  }
  __device__ __forceinline__ PatchSource source(const ConvInputGradientParams& p) const {
    // A class that no tap reaches has no depths, but its rows are taken apart like others.
    return {p.outHeight, p.outWidth, p.outChannels, p.outChannels, max(x.taps, 1), -p.dilationHeight, -p.dilationWidth};
  }
  /** Floats of the filter before those of a tap. */
  __device__ __forceinline__ int weights(const ConvInputGradientParams& p, int tap) const {
    const int tapY = tap / x.taps, tapX = tap % x.taps;
    return ((numberY + p.strideHeight * tapY) * p.kernelWidth + numberX + p.strideWidth * tapX) * p.inChannels * p.outChannels;
  }
};

/** A row of a class: its pixel of x, and what tap 0 reads for it. */
struct ClassPixel {
  const float* picture;
  int fromY, fromX;
  long long pixel;

  __device__ __forceinline__ ClassPixel(const ConvInputGradientParams& p, const PixelClass& of, int row) {
    const int x = row % of.x.count, y = row / of.x.count % of.y.count, n = row / of.x.count / of.y.count;
    picture = p.dy + static_cast<long long>(n) * p.outHeight * p.outWidth * p.outChannels;
    fromY = of.y.from + y;
    fromX = of.x.from + x;
    pixel = (static_cast<long long>(n) * p.inHeight + of.y.first + p.strideHeight * y) * p.inWidth + of.x.first + p.strideWidth * x;
  }
};

/** A thread fetches the same depths of both: channels of dy at a tap for a pixel, and the weights of the tap for a channel of x. */
template <class S, bool VECTOR>
struct InputGradientOperands {
  PatchSource from;
  const float* picture;
  PatchPlace at;
  /** The tap's, of the thread's column; one that lies outside reads those of the first, and is not stored. */
  const float* weights;
  /** Floats from tap to tap, and from row to row of them. */
  int tapStep, rowStep;
  int left;
  int place;
  GemmQuad a, b;

  static __device__ __forceinline__ int row() { return threadIdx.x / 2; }
  static __device__ __forceinline__ int depth() { return threadIdx.x % 2 * 4; }

  __device__ __forceinline__ InputGradientOperands(const ConvInputGradientParams& p, const PixelClass& of, const GemmBlock& block, const ClassPixel& pixel,
                                                   int first, int end)
      : from(of.source(p)),
        picture(pixel.picture),
        // A row outside begins so far above that no tap reaches a picture.
        at(from, block.m0 + row() < of.rows(p) ? pixel.fromY : -(1 << 30), pixel.fromX, first + depth()),
        weights(p.filter + (block.n0 + row() < p.inChannels ? block.n0 + row() : 0) * static_cast<long long>(p.outChannels)),
        tapStep(p.strideWidth * p.inChannels * p.outChannels),
        rowStep((p.strideHeight * p.kernelWidth - p.strideWidth * (of.x.taps - 1)) * p.inChannels * p.outChannels),
        left(end - first - depth()),
        place(depth() * S::A_ROW + row()) {
    static_assert(S::A_ROW == S::B_ROW, "both operands are stored at the same place");
    if (left > 0) weights += of.weights(p, (first + depth()) / p.outChannels);
  }

  __device__ __forceinline__ void advance(int depths) {
    at.advance(from, depths, [&](bool row) { weights += row ? rowStep : tapStep; });
  }

  __device__ __forceinline__ void fetch() {
    a = {};
    b = {};
    if (VECTOR) {
      if (left > 0) b = load_quad(weights + at.channel);
      if (left > 0 && at.inside(from)) a = load_quad(picture + at.offset(from));
      advance(GEMM_DEPTH);
    } else {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if (j < left) b.v[j] = weights[at.channel];
        if (j < left && at.inside(from)) a.v[j] = picture[at.offset(from)];
        advance(1);
      }
      advance(GEMM_DEPTH - 4);
    }
    left -= GEMM_DEPTH;
  }

  __device__ __forceinline__ void store(GemmShared<S>& to, int half) const {
    store_across<S::A_ROW>(to.a[half] + place, a);
    store_across<S::B_ROW>(to.b[half] + place, b);
  }
};

/** The sum of depths first to end of one value of dx, without what lies outside of dy. */
__device__ float sum_of(const ConvInputGradientParams& p, const PixelClass& of, int row, int channel, int first, int end) {
  const PatchSource from = of.source(p);
  const ClassPixel pixel(p, of, row);
  float sum = 0.0f;
  for (int depth = first; depth < end; depth++) {
    const PatchPlace at(from, pixel.fromY, pixel.fromX, depth);
    const float* weights = p.filter + of.weights(p, depth / p.outChannels) + static_cast<long long>(channel) * p.outChannels;
    if (at.inside(from)) sum = fmaf(pixel.picture[at.offset(from)], weights[at.channel], sum);
  }
  return sum;
}

template <class S, bool VECTOR>
__device__ __forceinline__ void convolve(const ConvInputGradientParams& p) {
  __shared__ GemmShared<S> shared;
  const GemmPlace<S> place;
  float sum[8][4 * S::QN] = {};
  {
    const GemmBlock block = GemmBlock::of<S>(p.tilesN, p.tilesM, p.strideHeight * p.strideWidth);
    if (threadIdx.x == 0) shared.block = block;
    const PixelClass of(p, block.other);
    // Classes differ in size by a row or a column of pixels.
    if (block.m0 >= of.rows(p)) return;
    const int first = block.split * of.splitDepth(p), end = min(of.depths(p), first + of.splitDepth(p));
    const int row = min(block.m0 + InputGradientOperands<S, VECTOR>::row(), of.rows(p) - 1);
    InputGradientOperands<S, VECTOR> operands(p, of, block, ClassPixel(p, of, row), first, end);
    gemm_accumulate<S>(shared, operands, (end - first + GEMM_DEPTH - 1) / GEMM_DEPTH, place, sum);
  }
  const GemmBlock block = shared.block;
  const PixelClass of(p, block.other);
  const size_t size = static_cast<size_t>(p.batch) * p.inHeight * p.inWidth * p.inChannels;
  float* share = p.splits > 1 ? p.partial + block.split * size : nullptr;
  const auto at = [&](int row) {
#if !defined(MUTATION_8)  // all classes are as large as the largest
    if (block.m0 + row >= of.rows(p)) return -1ll;
#endif
    return ClassPixel(p, of, block.m0 + row).pixel * p.inChannels + block.n0;
  };
  const unsigned long long odd = gemm_odd<S>(sum);
  gemm_store<S, VECTOR, false>(p, place, sum, at, p.inChannels - block.n0, block.n0, share, p.dx);
  const auto again = [&](int row, int n) {
    const int first = block.split * of.splitDepth(p);
    return sum_of(p, of, block.m0 + row, block.n0 + n, first, min(of.depths(p), first + of.splitDepth(p)));
  };
  gemm_repair<S, false>(p, place, odd, at, p.inChannels - block.n0, block.n0, share, p.dx, again);
}

}  // namespace

/** 128 pixels × 128 channels; channels of x and of dy come in fours. */
GEMM_KERNEL(conv_input_gradient_wide, ConvInputGradientParams, 256, 2) { convolve<GemmWide, true>(p); }

/** 64 × 64. */
GEMM_KERNEL(conv_input_gradient_small, ConvInputGradientParams, 128, 5) { convolve<GemmSmall, true>(p); }

/** 64 × 64, of any channels. */
GEMM_KERNEL(conv_input_gradient_any, ConvInputGradientParams, 128, 5) { convolve<GemmSmall, false>(p); }

/** One value of dx per thread, of any stride and dilation. */
KERNEL(conv_input_gradient_naive, ConvInputGradientParams, 256) {
  const size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<size_t>(p.batch) * p.inHeight * p.inWidth * p.inChannels) return;
  const int channel = static_cast<int>(at % p.inChannels);
  const long long pixel = at / p.inChannels;
  const int x = static_cast<int>(pixel % p.inWidth), y = static_cast<int>(pixel / p.inWidth % p.inHeight);
  const int n = static_cast<int>(pixel / p.inWidth / p.inHeight);
  float sum = 0.0f;
  for (int ky = 0; ky < p.kernelHeight; ky++) {
    const int row = y + p.padTop - ky * p.dilationHeight, outY = row / p.strideHeight;
    if (row < 0 || row % p.strideHeight != 0 || outY >= p.outHeight) continue;
    for (int kx = 0; kx < p.kernelWidth; kx++) {
      const int column = x + p.padLeft - kx * p.dilationWidth, outX = column / p.strideWidth;
      if (column < 0 || column % p.strideWidth != 0 || outX >= p.outWidth) continue;
      const float* dy = p.dy + ((static_cast<long long>(n) * p.outHeight + outY) * p.outWidth + outX) * p.outChannels;
      const float* weights = p.filter + (static_cast<long long>(ky * p.kernelWidth + kx) * p.inChannels + channel) * p.outChannels;
      for (int o = 0; o < p.outChannels; o++) sum = fmaf(dy[o], weights[o], sum);
    }
  }
  p.dx[at] = sum;
}
