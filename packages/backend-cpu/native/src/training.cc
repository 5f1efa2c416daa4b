#include "training.h"

#include <algorithm>
#include <vector>

#include "thread_pool.h"

namespace dsconv {

void bfp_gradient(const float* x, const float* dy, float* dx, int64_t pixels, int channels, int groups, int block, int mantissa) {
  const int depth = channels / groups;
  const int64_t rows = pixels * groups;
  parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      for (int64_t from = row * depth; from < (row + 1) * depth; from += block) {
        const int64_t to = min_of<int64_t>(from + block, (row + 1) * depth);
        // Magnitudes as signed integers, of which every set has vectors.
        int32_t largest = 0;
        for (int64_t i = from; i < to; i++) largest = max_of(largest, int32_t(bits_of(x[i]) & 0x7fffffffu));
        const int exponent = (largest >> 23) - 127;
        // Halves round to the even number, which is beyond the largest mantissa: the clamp begins at (2^(m-1) - 0.5) * 2^(E-(m-2)), in bits of the
        // float (2 - 2^(1-m)) * 2^E. Blocks that count as zero or are not finite have no clamp.
        const bool has_clamp = exponent >= -100 && exponent < 128;
        const int32_t last = has_clamp ? (((exponent + 127) << 23) | (((1 << (mantissa - 1)) - 1) << (24 - mantissa))) - 1 : 0x7fffffff;
        for (int64_t i = from; i < to; i++) {
          const int32_t kept = int32_t(bits_of(x[i]) & 0x7fffffffu) <= last ? -1 : 0;
          dx[i] = float_of(bits_of(dy[i]) & uint32_t(kept));
        }
      }
    }
  });
}

namespace {

// Elements that are added up in float32 before the sum goes on in float64.
constexpr int64_t kPiece = 256;

void sum_rows(const float* x, int64_t rows, int64_t stride, int width, double* y) {
  constexpr int kWidth = 64;
  float piece[kWidth];
  for (int64_t from = 0; from < rows; from += kPiece) {
    const int64_t to = min_of(from + kPiece, rows);
    std::fill(piece, piece + width, 0.0f);
    for (int64_t r = from; r < to; r++) {
      for (int c = 0; c < width; c++) piece[c] += x[r * stride + c];
    }
    for (int c = 0; c < width; c++) y[c] += piece[c];
  }
}

// Sums of rows that lie one after the other: eight at a time, which is as many as a vector holds.
double sum_run(const float* x, int64_t count) {
  double total = 0;
  for (int64_t from = 0; from < count; from += kPiece) {
    const int64_t to = min_of(from + kPiece, count);
    float lanes[8] = {};
    int64_t i = from;
    for (; i + 8 <= to; i += 8) for (int l = 0; l < 8; l++) lanes[l] += x[i + l];
    for (int l = 0; i < to; i++, l++) lanes[l] += x[i];
    for (float lane : lanes) total += lane;
  }
  return total;
}

}  // namespace

void sum_middle(const float* x, float* y, int64_t outer, int64_t middle, int64_t inner) {
  if (inner == 1) {
    return parallel_for(outer, max_of<int64_t>(1, (1 << 14) / max_of<int64_t>(middle, 1)), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; o++) y[o] = float(sum_run(x + o * middle, middle));
    });
  }
  constexpr int64_t kWidth = 64, kRows = 1 << 12;
  const int64_t columns = ceil_div(inner, kWidth), parts = max_of<int64_t>(1, ceil_div(middle, kRows));
  // Long sums of few columns are cut, always in the same places.
  std::vector<double> partial(size_t(outer * parts * inner), 0.0);
  parallel_for(outer * parts * columns, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) {
      const int64_t column = n % columns * kWidth, part = n / columns % parts, o = n / columns / parts;
      const int64_t first = part * kRows, rows = min_of(kRows, middle - first);
      sum_rows(x + (o * middle + first) * inner + column, rows, inner, int(min_of(kWidth, inner - column)), &partial[(o * parts + part) * inner + column]);
    }
  });
  for (int64_t o = 0; o < outer; o++) {
    for (int64_t i = 0; i < inner; i++) {
      double total = 0;
      for (int64_t part = 0; part < parts; part++) total += partial[(o * parts + part) * inner + i];
      y[o * inner + i] = float(total);
    }
  }
}

void copy_box(const Box& given, const float* x, float* y) {
  // Axes that are whole on both sides go with the one before.
  Box b = given;
  while (b.rank > 1) {
    const int last = b.rank - 1;
    const int64_t size = b.size[last];
    if (size != b.x_shape[last] || size != b.y_shape[last]) break;
    b.rank--;
    for (int64_t* axis : {b.size, b.x_shape, b.y_shape, b.x_from, b.y_from}) axis[last - 1] *= size;
  }
  const int last = b.rank - 1;
  const int64_t run = b.size[last];
  int64_t rows = 1;
  for (int d = 0; d < last; d++) rows *= b.size[d];
  if (run == 0) return;
  parallel_for(rows, max_of<int64_t>(1, 4096 / run), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      int64_t rest = row, from = b.x_from[last], to = b.y_from[last], x_step = b.x_shape[last], y_step = b.y_shape[last];
      for (int d = last - 1; d >= 0; d--) {
        const int64_t at = rest % b.size[d];
        rest /= b.size[d];
        from += (b.x_from[d] + at) * x_step;
        to += (b.y_from[d] + at) * y_step;
        x_step *= b.x_shape[d];
        y_step *= b.y_shape[d];
      }
      std::copy(x + from, x + from + run, y + to);
    }
  });
}

namespace {

// Calls visit(output pixel, input pixel) for every tap of a batch entry's windows, in the order of the outputs.
template <typename Visit>
void each_tap(const Window& w, int64_t n, const Visit& visit) {
  for (int oy = 0; oy < w.out_h; oy++) for (int ox = 0; ox < w.out_w; ox++) {
    const int64_t out = (n * w.out_h + oy) * w.out_w + ox;
    for (int ky = 0; ky < w.kh; ky++) {
      const int y = oy * w.stride_h + ky * w.dilation_h - w.pad_top;
      if (y < 0 || y >= w.in_h) continue;
      for (int kx = 0; kx < w.kw; kx++) {
        const int c = ox * w.stride_w + kx * w.dilation_w - w.pad_left;
        if (c >= 0 && c < w.in_w) visit(out, (n * w.in_h + y) * w.in_w + c);
      }
    }
  }
}

}  // namespace

void max_pool_gradient(const Window& w, const float* x, const float* dy, float* dx) {
  const int channels = w.in_c;
  std::fill(dx, dx + w.in_pixels() * channels, 0.0f);
  parallel_for(w.batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> largest(channels);
    std::vector<int64_t> place(channels);
    for (int64_t n = begin; n < end; n++) {
      int64_t current = -1;
      const auto pass_on = [&] {
        if (current < 0) return;
        for (int c = 0; c < channels; c++) dx[place[c] * channels + c] += dy[current * channels + c];
      };
      each_tap(w, n, [&](int64_t out, int64_t in) {
        const bool first = out != current;
        if (first) {
          pass_on();
          current = out;
        }
        for (int c = 0; c < channels; c++) {
          const float v = x[in * channels + c];
          if (first || v > largest[c]) {
            largest[c] = v;
            place[c] = in;
          }
        }
      });
      pass_on();
    }
  });
}

void avg_pool_gradient(const Window& w, const float* dy, float* dx) {
  const int channels = w.in_c;
  std::fill(dx, dx + w.in_pixels() * channels, 0.0f);
  parallel_for(w.batch, 1, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> taps(size_t(w.out_h) * w.out_w);
    for (int64_t n = begin; n < end; n++) {
      const int64_t base = n * w.out_h * w.out_w;
      std::fill(taps.begin(), taps.end(), 0);
      each_tap(w, n, [&](int64_t out, int64_t) { taps[out - base]++; });
      each_tap(w, n, [&](int64_t out, int64_t in) {
        const float share = 1.0f / float(taps[out - base]);
        for (int c = 0; c < channels; c++) dx[in * channels + c] += dy[out * channels + c] * share;
      });
    }
  });
}

}  // namespace dsconv
