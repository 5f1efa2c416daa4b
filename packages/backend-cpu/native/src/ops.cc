#include "ops.h"

#include <cmath>

#include "thread_pool.h"

namespace dsconv {
namespace {

// Rows in tiles of 6 through an output. fill(first pixel, count, rows, ld) writes them; straight into the tensor where nothing else is to do.
template <typename Fill>
void emit_rows(int64_t pixels, const Output& out, const Fill& fill) {
  const bool direct = out.sinks == 1 && out.f32[0] && out.is_plain_copy() && !out.format.mantissa;
  const size_t channels = out.channels;
  parallel_for(pixels, 16, [&](int64_t begin, int64_t end) {
    float* tile = direct ? nullptr : static_cast<float*>(thread_scratch(0, (channels * kTileRows + 64) * sizeof(float)));
    for (int64_t p = begin; p < end; p += kTileRows) {
      const int count = int(min_of<int64_t>(kTileRows, end - p));
      if (direct) {
        fill(p, count, out.f32[0] + size_t(p) * channels);
        continue;
      }
      int64_t at[kTileRows];
      for (int r = 0; r < count; r++) at[r] = p + r;
      fill(p, count, tile);
      finish_rows(out, tile, channels, count, at, 0, int(channels));
    }
  });
}

void decode_pixel(const Image& image, int64_t pixel, float* to) {
  const ImageSpec& s = image.spec;
  const int8_t* m = image.rows + size_t(pixel) * s.stride();
  const BlockRecord* r = image.records + size_t(pixel) * s.entries();
  for (int g = 0; g < s.groups; g++) {
    kernels().decode({m + g * s.depth(), r + g * s.blocks_per_group(), s.depth(), s.block, image.plain, to + g * s.depth()});
  }
}

// Pointers to the input pixels of one output pixel's window.
int window_rows(const Window& w, const float* x, int64_t pixel, const float** rows) {
  const int64_t n = pixel / (int64_t{w.out_h} * w.out_w);
  const int oy = int(pixel / w.out_w % w.out_h), ox = int(pixel % w.out_w);
  int count = 0;
  for (int ky = 0; ky < w.kh; ky++) {
    const int y = oy * w.stride_h + ky * w.dilation_h - w.pad_top;
    if (y < 0 || y >= w.in_h) continue;
    for (int kx = 0; kx < w.kw; kx++) {
      const int c = ox * w.stride_w + kx * w.dilation_w - w.pad_left;
      if (c >= 0 && c < w.in_w) rows[count++] = x + ((n * w.in_h + y) * w.in_w + c) * w.in_c;
    }
  }
  return count;
}

template <typename Op>
void binary_loop(const float* a, const float* b, float* y, int64_t n, int64_t period, const Op& op) {
  parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
    if (period == n) {
      for (int64_t i = begin; i < end; i++) y[i] = op(a[i], b[i]);
    } else if (period == 1) {
      const float v = b[0];
      for (int64_t i = begin; i < end; i++) y[i] = op(a[i], v);
    } else {
      for (int64_t i = begin, j = begin % period; i < end; j = 0) {
        const int64_t count = min_of(period - j, end - i);
        for (int64_t k = 0; k < count; k++) y[i + k] = op(a[i + k], b[j + k]);
        i += count;
      }
    }
  });
}

template <typename Op>
void unary_loop(const float* x, float* y, int64_t n, const Op& op) {
  parallel_for(n, 1 << 13, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) y[i] = op(x[i]);
  });
}

}  // namespace

void max_pool(const Window& w, const float* x, const Output& out) {
  emit_rows(w.out_pixels(), out, [&](int64_t first, int count, float* rows) {
    const float** at = static_cast<const float**>(thread_scratch(1, sizeof(float*) * w.kh * w.kw));
    for (int r = 0; r < count; r++) {
      float* to = rows + size_t(r) * w.in_c;
      const int taps = window_rows(w, x, first + r, at);
      if (taps) kernels().max_rows(at, taps, w.in_c, to);
      else for (int c = 0; c < w.in_c; c++) to[c] = -INFINITY;
    }
  });
}

void avg_pool(const Window& w, const float* x, const Output& out) {
  emit_rows(w.out_pixels(), out, [&](int64_t first, int count, float* rows) {
    const float** at = static_cast<const float**>(thread_scratch(1, sizeof(float*) * w.kh * w.kw));
    for (int r = 0; r < count; r++) {
      float* to = rows + size_t(r) * w.in_c;
      const int taps = window_rows(w, x, first + r, at);
      std::memset(to, 0, w.in_c * sizeof(float));
      kernels().add_rows(at, taps, w.in_c, to);
      for (int c = 0; c < w.in_c; c++) to[c] /= float(taps);
    }
  });
}

void mean_hw(const float* x, const Image* image, int64_t batch, int64_t hw, int channels, const Output& out) {
  emit_rows(batch, out, [&](int64_t first, int count, float* rows) {
    float* decoded = static_cast<float*>(thread_scratch(1, (size_t(channels) + 16) * sizeof(float)));
    for (int r = 0; r < count; r++) {
      float* to = rows + size_t(r) * channels;
      std::memset(to, 0, channels * sizeof(float));
      for (int64_t p = 0; p < hw; p++) {
        const float* at = image ? decoded : x + ((first + r) * hw + p) * channels;
        if (image) decode_pixel(*image, (first + r) * hw + p, decoded);
        kernels().add_rows(&at, 1, channels, to);
      }
      for (int c = 0; c < channels; c++) to[c] /= float(hw);
    }
  });
}

void binary(int op, const float* a, const float* b, float* y, int64_t n, int64_t period) {
  switch (op) {
    case kAdd: return binary_loop(a, b, y, n, period, [](float p, float q) { return p + q; });
    case kSub: return binary_loop(a, b, y, n, period, [](float p, float q) { return p - q; });
    case kMul: return binary_loop(a, b, y, n, period, [](float p, float q) { return p * q; });
    case kReverseSub: return binary_loop(a, b, y, n, period, [](float p, float q) { return q - p; });
    case kMaximum: return binary_loop(a, b, y, n, period, [](float p, float q) { return p != p ? p : q != q ? q : p > q ? p : q; });
    case kMinimum: return binary_loop(a, b, y, n, period, [](float p, float q) { return p != p ? p : q != q ? q : p < q ? p : q; });
    default: return binary_loop(a, b, y, n, period, [](float p, float q) { return p / q; });
  }
}

void unary(int op, const float* x, float* y, int64_t n, float alpha, const float* alphas, int64_t period) {
  switch (op) {
    case kLinear: return unary_loop(x, y, n, [](float v) { return v; });
    case kRelu: return unary_loop(x, y, n, [](float v) { return v <= 0 ? 0 : v; });
    case kRelu6: return unary_loop(x, y, n, [](float v) { return v <= 0 ? 0 : v > 6 ? 6 : v; });
    case kSilu: return unary_loop(x, y, n, [](float v) { return v == -INFINITY ? 0 : v / (1 + std::exp(-v)); });
    // Signs are hard to predict: as masks of integers, which become vectors where comparisons of floats would stay branches.
    case kLeakyRelu: return unary_loop(x, y, n, [alpha](float v) { return int32_t(bits_of(v)) < 0 ? alpha * v : v; });
    case kPrelu: return binary_loop(x, alphas, y, n, period, [](float v, float a) { return int32_t(bits_of(v)) < 0 ? a * v : v; });
    case kSigmoid: return unary_loop(x, y, n, [](float v) { return 1 / (1 + std::exp(-v)); });
    case kTanh: return unary_loop(x, y, n, [](float v) { return std::tanh(v); });
    case kStep:
      return unary_loop(x, y, n, [one = int32_t(bits_of(1.0f)), other = int32_t(bits_of(alpha))](float v) {
        const int32_t bits = int32_t(bits_of(v)), step = bits > 0 ? one : other;
        return float_of(uint32_t((bits & 0x7fffffff) > 0x7f800000 ? bits : step));
      });
    case kSquare: return unary_loop(x, y, n, [](float v) { return v * v; });
    case kSqrt: return unary_loop(x, y, n, [](float v) { return std::sqrt(v); });
    case kRsqrt: return unary_loop(x, y, n, [](float v) { return 1 / std::sqrt(v); });
    case kNegate: return unary_loop(x, y, n, [](float v) { return -v; });
    default: return unary_loop(x, y, n, [](float v) { return std::exp(v); });
  }
}

void scale_shift(const float* x, const float* scale, const float* shift, float* y, int64_t n, int channels) {
  parallel_for(n / max_of(channels, 1), 16, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++) {
      for (int c = 0; c < channels; c++) y[p * channels + c] = x[p * channels + c] * scale[c] + shift[c];
    }
  });
}

void softmax(const float* x, float* y, int64_t rows, int channels) {
  parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const float* from = x + r * channels;
      float* to = y + r * channels;
      float largest = -INFINITY;
      for (int c = 0; c < channels; c++) largest = from[c] > largest || from[c] != from[c] ? from[c] : largest;
      double sum = 0;
      for (int c = 0; c < channels; c++) sum += to[c] = std::exp(from[c] - largest);
      const float inverse = float(1 / sum);
      for (int c = 0; c < channels; c++) to[c] *= inverse;
    }
  });
}

void decode_rows(const Image& image, const Output& out) {
  emit_rows(image.pixels, out, [&](int64_t first, int count, float* rows) {
    for (int r = 0; r < count; r++) decode_pixel(image, first + r, rows + size_t(r) * out.channels);
  });
}

void concat(const std::vector<ConcatPart>& parts, int64_t pixels, const Output& out) {
  emit_rows(pixels, out, [&](int64_t first, int count, float* rows) {
    for (int r = 0; r < count; r++) {
      float* to = rows + size_t(r) * out.channels;
      for (const ConcatPart& part : parts) {
        if (part.image) decode_pixel(*part.image, first + r, to);
        else std::memcpy(to, part.x + size_t(first + r) * part.channels, part.channels * sizeof(float));
        to += part.channels;
      }
    }
  });
}

void pad(const Window& w, const float* x, float value, const Output& out) {
  emit_rows(w.out_pixels(), out, [&](int64_t first, int count, float* rows) {
    for (int r = 0; r < count; r++) {
      const int64_t pixel = first + r, n = pixel / (int64_t{w.out_h} * w.out_w);
      const int64_t y = pixel / w.out_w % w.out_h - w.pad_top, c = pixel % w.out_w - w.pad_left;
      float* to = rows + size_t(r) * w.in_c;
      if (y >= 0 && y < w.in_h && c >= 0 && c < w.in_w) std::memcpy(to, x + ((n * w.in_h + y) * w.in_w + c) * w.in_c, w.in_c * sizeof(float));
      else for (int i = 0; i < w.in_c; i++) to[i] = value;
    }
  });
}

}  // namespace dsconv
