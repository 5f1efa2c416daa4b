// Gradients of pools. Each thread gathers what one value of x is due, so that sums have one order.
#include "kernel.h"
#include "params/pool.h"

namespace {

/** A window's rows and columns that lie inside. */
struct Window {
  int top, left, firstY, endY, firstX, endX;

  __device__ __forceinline__ Window(const PoolGradientParams& p, int outY, int outX)
      : top(outY * p.strideHeight - p.padTop),
        left(outX * p.strideWidth - p.padLeft),
        firstY(max(top, 0)),
        endY(min(top + p.kernelHeight, p.inHeight)),
        firstX(max(left, 0)),
        endX(min(left + p.kernelWidth, p.inWidth)) {}
};

/** The tap of a window's first maximum, or -1 where nothing in it is above -infinity. NaN is none, as in TensorFlow.js. */
__device__ __forceinline__ int tap_of_largest(const PoolGradientParams& p, const float* channel, const Window& window) {
  float largest = -INFINITY;
  int tap = -1;
  for (int y = window.firstY; y < window.endY; y++) {
    for (int x = window.firstX; x < window.endX; x++) {
      const float v = channel[(y * p.inWidth + x) * p.channels];
#if defined(MUTATION_12)  // the last of equal maxima has it all
      if (!(v >= largest)) continue;
#else
      if (!(v > largest)) continue;
#endif
      largest = v;
      tap = (y - window.top) * p.kernelWidth + x - window.left;
    }
  }
  return tap;
}

/** A value of x, and the outputs whose windows hold it. */
struct Reader {
  int channel, x, y;
  long long picture;
  bool inside;

  __device__ __forceinline__ explicit Reader(const PoolGradientParams& p) {
    const size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const size_t pixel = at / p.channels;
    channel = static_cast<int>(at % p.channels);
    x = static_cast<int>(pixel % p.inWidth);
    y = static_cast<int>(pixel / p.inWidth % p.inHeight);
    picture = static_cast<long long>(pixel / p.inWidth / p.inHeight);
    inside = picture < p.batch;
  }

  __device__ __forceinline__ size_t own(const PoolGradientParams& p) const {
    return ((picture * p.inHeight + y) * p.inWidth + x) * p.channels + channel;
  }

  /** Calls `visit(outY, outX, element of dy, tap)`. */
  template <class Visit>
  __device__ __forceinline__ void each(const PoolGradientParams& p, Visit visit) const {
    // Windows that begin at or before this pixel and end after it.
    const int lastY = min((y + p.padTop) / p.strideHeight, p.outHeight - 1), lastX = min((x + p.padLeft) / p.strideWidth, p.outWidth - 1);
    const int firstY = max((y + p.padTop - p.kernelHeight) / p.strideHeight, 0), firstX = max((x + p.padLeft - p.kernelWidth) / p.strideWidth, 0);
    for (int outY = firstY; outY <= lastY; outY++) {
      const int ky = y + p.padTop - outY * p.strideHeight;
      if (ky >= p.kernelHeight) continue;
      for (int outX = firstX; outX <= lastX; outX++) {
        const int kx = x + p.padLeft - outX * p.strideWidth;
        if (kx >= p.kernelWidth) continue;
        visit(outY, outX, ((picture * p.outHeight + outY) * p.outWidth + outX) * p.channels + channel, ky * p.kernelWidth + kx);
      }
    }
  }
};

}  // namespace

/** Finds the taps of all maxima. */
KERNEL(pool_max_taps, PoolGradientParams, 256) {
  const size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x, pixel = at / p.channels;
  if (pixel >= static_cast<size_t>(p.batch) * p.outHeight * p.outWidth) return;
  const size_t row = pixel / p.outWidth;
  const float* channel = p.x + row / p.outHeight * p.inHeight * p.inWidth * p.channels + at % p.channels;
  p.taps[at] = tap_of_largest(p, channel, Window(p, static_cast<int>(row % p.outHeight), static_cast<int>(pixel % p.outWidth)));
}

/** dx of maxima, by their taps. */
KERNEL(pool_max_gradient, PoolGradientParams, 256) {
  const Reader reader(p);
  if (!reader.inside) return;
  float sum = 0.0f;
  reader.each(p, [&](int, int, size_t at, int tap) {
    if (p.taps[at] == tap) sum += p.dy[at];
  });
  p.dx[reader.own(p)] = sum;
}

/** The same without scratch: looks through every window again for each value of x. */
KERNEL(pool_max_gradient_naive, PoolGradientParams, 256) {
  const Reader reader(p);
  if (!reader.inside) return;
  const float* channel = p.x + reader.picture * p.inHeight * p.inWidth * p.channels + reader.channel;
  float sum = 0.0f;
  reader.each(p, [&](int outY, int outX, size_t at, int tap) {
    if (tap_of_largest(p, channel, Window(p, outY, outX)) == tap) sum += p.dy[at];
  });
  p.dx[reader.own(p)] = sum;
}

/** dx of means: each output is due to the values that it is the mean of, and padding is none. */
KERNEL(pool_mean_gradient, PoolGradientParams, 256) {
  const Reader reader(p);
  if (!reader.inside) return;
  float sum = 0.0f;
  reader.each(p, [&](int outY, int outX, size_t at, int) {
    const Window window(p, outY, outX);
    sum += p.dy[at] / static_cast<float>((window.endY - window.firstY) * (window.endX - window.firstX));
  });
  p.dx[reader.own(p)] = sum;
}
