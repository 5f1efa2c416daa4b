// Resizing of NHWC images and its gradients. Places are computed in float64, as TensorFlow.js does: a rounding error there would be another pixel.
#include <math.h>
#include "kernel.h"
#include "params/elementwise.h"
#include "params/resize.h"

namespace {

__device__ inline float load(const void* x, int type, size_t at) {
  if (type == FLOAT32) return static_cast<const float*>(x)[at];
  return static_cast<float>(type == INT32 ? static_cast<const int*>(x)[at] : static_cast<const uint8_t*>(x)[at]);
}

/** The two places between which a bilinear one lies, and how far it is on the way. */
struct Between {
  int low, high;
  float way;
};

__device__ inline Between between(double ratio, int place, int size, bool halfPixels) {
  const double at = halfPixels ? ratio * (place + 0.5) - 0.5 : ratio * place;
  const double low = fmax(0.0, floor(at));
  // Before the first pixel the way is negative, but both places are the first.
  return {static_cast<int>(low), static_cast<int>(fmin(size - 1.0, ceil(at))), static_cast<float>(at - low)};
}

__device__ inline int nearest(const ResizeParams& p, double ratio, int place, int size) {
  const double at = p.halfPixelCenters ? ratio * (place + 0.5) : ratio * place;
  return static_cast<int>(fmin(size - 1.0, p.alignCorners ? floor(at + 0.5) : floor(at)));
}

__device__ inline double ratio_of(int x, int y) { return static_cast<double>(x) / static_cast<double>(y); }

/** The places of y that may be read from place `place` of x: those at which `ratio * y` is less than one away. */
struct Range {
  int from, to;
};

__device__ inline Range readers(double ratio, int place, int size) {
  if (!(ratio > 0)) return {0, size - 1};
  return {static_cast<int>(fmax(0.0, floor((place - 1) / ratio))), static_cast<int>(fmin(size - 1.0, ceil((place + 1) / ratio)))};
}

/** An element of the image that is written: its place. */
struct Element {
  int batch, row, column, channel;
};

__device__ inline Element element_of(unsigned n, int height, int width, int channels) {
  const unsigned pixel = n / channels, line = pixel / width;
  return {static_cast<int>(line / height), static_cast<int>(line % height), static_cast<int>(pixel % width), static_cast<int>(n % channels)};
}

/** How much of y's place goes to a place of x. */
__device__ inline float share(const Between& way, int place) {
  return (way.low == place ? 1.0f - way.way : 0.0f) + (way.high == place ? way.way : 0.0f);
}

template <class Unit>
__device__ inline void resize_nearest(const ResizeParams& p) {
  const double rows = ratio_of(p.xSpanHeight, p.ySpanHeight), columns = ratio_of(p.xSpanWidth, p.ySpanWidth);
  const unsigned count = static_cast<unsigned>(p.batch) * p.yHeight * p.yWidth * p.channels, step = gridDim.x * blockDim.x;
  for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < count; n += step) {
    const Element e = element_of(n, p.yHeight, p.yWidth, p.channels);
    const int row = nearest(p, rows, e.row, p.xHeight), column = nearest(p, columns, e.column, p.xWidth);
    static_cast<Unit*>(p.to)[n] = static_cast<const Unit*>(p.from)[((static_cast<size_t>(e.batch) * p.xHeight + row) * p.xWidth + column) * p.channels + e.channel];
  }
}

}  // namespace

KERNEL(resize_bilinear, ResizeParams, 256) {
  const double rows = ratio_of(p.xSpanHeight, p.ySpanHeight), columns = ratio_of(p.xSpanWidth, p.ySpanWidth);
  const unsigned count = static_cast<unsigned>(p.batch) * p.yHeight * p.yWidth * p.channels, step = gridDim.x * blockDim.x;
  for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < count; n += step) {
    const Element e = element_of(n, p.yHeight, p.yWidth, p.channels);
    const Between row = between(rows, e.row, p.xHeight, p.halfPixelCenters), column = between(columns, e.column, p.xWidth, p.halfPixelCenters);
    const auto at = [&](int r, int c) {
      return load(p.from, p.type, ((static_cast<size_t>(e.batch) * p.xHeight + r) * p.xWidth + c) * p.channels + e.channel);
    };
    const float topLeft = at(row.low, column.low), bottomLeft = at(row.high, column.low);
    const float top = topLeft + (at(row.low, column.high) - topLeft) * column.way;
    const float bottom = bottomLeft + (at(row.high, column.high) - bottomLeft) * column.way;
    static_cast<float*>(p.to)[n] = top + (bottom - top) * row.way;
  }
}

KERNEL(resize_nearest_1, ResizeParams, 256) { resize_nearest<uint8_t>(p); }
KERNEL(resize_nearest_4, ResizeParams, 256) { resize_nearest<uint32_t>(p); }
KERNEL(resize_nearest_16, ResizeParams, 256) { resize_nearest<int4>(p); }

KERNEL(resize_bilinear_gradient, ResizeParams, 256) {
  const double rows = ratio_of(p.xSpanHeight, p.ySpanHeight), columns = ratio_of(p.xSpanWidth, p.ySpanWidth);
  const unsigned count = static_cast<unsigned>(p.batch) * p.xHeight * p.xWidth * p.channels, step = gridDim.x * blockDim.x;
  for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < count; n += step) {
    const Element e = element_of(n, p.xHeight, p.xWidth, p.channels);
    const Range r = readers(rows, e.row, p.yHeight), c = readers(columns, e.column, p.yWidth);
    float sum = 0;
#pragma unroll 1
    for (int row = r.from; row <= r.to; row++) {
      const float ofRow = share(between(rows, row, p.xHeight, false), e.row);
      if (ofRow == 0) continue;
      const size_t line = (static_cast<size_t>(e.batch) * p.yHeight + row) * p.yWidth;
#pragma unroll 1
      for (int column = c.from; column <= c.to; column++) {
        const float part = ofRow * share(between(columns, column, p.xWidth, false), e.column);
        if (part != 0) sum += part * static_cast<const float*>(p.from)[(line + column) * p.channels + e.channel];
      }
    }
    static_cast<float*>(p.to)[n] = sum;
  }
}

KERNEL(resize_nearest_gradient, ResizeParams, 256) {
  const double rows = ratio_of(p.xSpanHeight, p.ySpanHeight), columns = ratio_of(p.xSpanWidth, p.ySpanWidth);
  const unsigned count = static_cast<unsigned>(p.batch) * p.xHeight * p.xWidth * p.channels, step = gridDim.x * blockDim.x;
  for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < count; n += step) {
    const Element e = element_of(n, p.xHeight, p.xWidth, p.channels);
    const Range r = readers(rows, e.row, p.yHeight), c = readers(columns, e.column, p.yWidth);
    float sum = 0;
#pragma unroll 1
    for (int row = r.from; row <= r.to; row++) {
      if (nearest(p, rows, row, p.xHeight) != e.row) continue;
      const size_t line = (static_cast<size_t>(e.batch) * p.yHeight + row) * p.yWidth;
#pragma unroll 1
      for (int column = c.from; column <= c.to; column++) {
        if (nearest(p, columns, column, p.xWidth) == e.column) sum += static_cast<const float*>(p.from)[(line + column) * p.channels + e.channel];
      }
    }
    static_cast<float*>(p.to)[n] = sum;
  }
}
