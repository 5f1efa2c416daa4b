// NUMERICS §3 and §4 in float64, literally. Slow on purpose.
#pragma once

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "../src/common.h"

namespace reference {

using dsconv::Window;

struct Bfp {
  std::vector<int> mantissa;   // [pixels][channels]
  std::vector<double> scale;   // [pixels][groups * blocks]
  int blocks = 1;
};

inline Bfp quantize(const float* x, int64_t pixels, int channels, int groups, int block, int m) {
  const int depth = channels / groups, blocks = (depth + block - 1) / block, limit = (1 << (m - 1)) - 1;
  Bfp out;
  out.blocks = blocks;
  out.mantissa.assign(pixels * channels, 0);
  out.scale.assign(pixels * groups * blocks, 0);
  for (int64_t p = 0; p < pixels; p++) {
    for (int g = 0; g < groups; g++) {
      for (int j = 0; j < blocks; j++) {
        const int64_t begin = p * channels + g * depth + j * block;
        const int64_t end = std::min<int64_t>(begin + block, p * channels + (g + 1) * depth);
        bool bad = false;
        double largest = 0;
        for (int64_t i = begin; i < end; i++) {
          bad |= !std::isfinite(x[i]);
          largest = std::max(largest, std::fabs(double(x[i])));
        }
        double& scale = out.scale[(p * groups + g) * blocks + j];
        if (bad) {
          scale = NAN;
          continue;
        }
        if (largest == 0 || std::ilogb(largest) < -100) continue;
        scale = std::ldexp(1.0, std::ilogb(largest) - (m - 2));
        for (int64_t i = begin; i < end; i++) {
          const double q = std::nearbyint(double(x[i]) / scale);
          out.mantissa[i] = int(std::min<double>(std::max<double>(q, -limit), limit));
        }
      }
    }
  }
  return out;
}

inline double activate(double v, int activation, double slope) {
  switch (activation) {
    case 1: return v <= 0 ? 0 : v;
    case 2: return v <= 0 ? 0 : std::isnan(v) ? v : std::min(v, 6.0);
    case 3: return v == -INFINITY ? 0 : v / (1 + std::exp(-v));
    case 4:
    case 5: return v < 0 ? slope * v : v;
    default: return v;
  }
}

struct Case {
  Window w;
  bool depthwise = false;
  int outputs = 1, groups = 1, block = 64, bits = 4, mantissa = 8;  // mantissa 0: float activations
  bool per_channel = false;
  std::vector<int8_t> q;                  // [taps][I][O]; depthwise [taps][C * mult]
  std::vector<float> scales, shifts;      // [taps][nb][O] or [O]
  std::vector<float> x, bias, residual, alphas;
  int activation = 0;
  float alpha = 0.2f;
};

struct Result {
  std::vector<double> y, magnitude;
  std::vector<int> terms;
};

inline Result convolve(const Case& c) {
  const Window& w = c.w;
  const int channels = w.in_c, groups = c.depthwise ? 1 : c.groups, depth = c.depthwise ? 1 : channels / groups;
  const int blocks = c.depthwise ? 1 : (depth + c.block - 1) / c.block, mult = c.depthwise ? c.outputs / channels : 1;
  Bfp bfp;
  if (c.mantissa) bfp = quantize(c.x.data(), w.in_pixels(), channels, groups, c.block, c.mantissa);
  Result r;
  const int64_t count = w.out_pixels() * c.outputs;
  r.y.resize(count);
  r.magnitude.resize(count);
  r.terms.resize(count);
  int64_t at = 0;
  for (int n = 0; n < w.batch; n++) for (int oy = 0; oy < w.out_h; oy++) for (int ox = 0; ox < w.out_w; ox++) for (int o = 0; o < c.outputs; o++, at++) {
    double sum = 0, magnitude = 0;
    int terms = 0;
    const auto add = [&](double t) { sum += t; magnitude += std::fabs(t); terms++; };
    if (!c.bias.empty()) add(c.bias[o]);
    for (int ky = 0; ky < w.kh; ky++) for (int kx = 0; kx < w.kw; kx++) {
      const int iy = oy * w.stride_h + ky * w.dilation_h - w.pad_top, ix = ox * w.stride_w + kx * w.dilation_w - w.pad_left;
      if (iy < 0 || iy >= w.in_h || ix < 0 || ix >= w.in_w) continue;
      const int64_t pixel = (int64_t{n} * w.in_h + iy) * w.in_w + ix;
      const int tap = ky * w.kw + kx, g = c.depthwise ? 0 : o / (c.outputs / groups);
      for (int j = 0; j < blocks; j++) {
        const int first = c.depthwise ? o / mult : g * depth + j * c.block;
        const int length = c.depthwise ? 1 : std::min(c.block, depth - j * c.block);
        const size_t s = c.per_channel ? o : (size_t(tap) * blocks + j) * c.outputs + o;
        double product = 0, total = 0;
        for (int i = 0; i < length; i++) {
          const double v = c.mantissa ? bfp.mantissa[pixel * channels + first + i] : c.x[pixel * channels + first + i];
          const double q = c.q[(size_t(tap) * depth + j * c.block * !c.depthwise + i) * c.outputs + o];
          if (c.mantissa) product += q * v;
          else {
            add(v * double(c.scales[s]) * q);
            if (!c.shifts.empty()) add(v * double(c.shifts[(size_t(tap) * blocks + j) * c.outputs + o]));
          }
          total += v;
        }
        if (!c.mantissa) continue;
        const double scale = bfp.scale[(pixel * groups + g) * bfp.blocks + (c.depthwise ? first / c.block : j)];
        add(scale * double(c.scales[s]) * product);
        if (!c.shifts.empty()) add(scale * double(c.shifts[(size_t(tap) * blocks + j) * c.outputs + o]) * total);
      }
    }
    if (!c.residual.empty()) add(c.residual[at]);
    r.y[at] = activate(sum, c.activation, c.activation == 5 ? c.alphas[o] : c.alpha);
    r.magnitude[at] = magnitude;
    r.terms[at] = terms;
  }
  return r;
}

// Index of the first output outside 4 n 2^-24 Σ|terms| (silu: plus four ulps), or -1.
inline int64_t first_wrong(const Result& r, const float* y, int activation, bool exact) {
  for (size_t n = 0; n < r.y.size(); n++) {
    if (std::isnan(r.y[n])) {
      if (!std::isnan(y[n])) return int64_t(n);
      continue;
    }
    double bound = exact ? 0 : 4.0 * r.terms[n] * r.magnitude[n] * std::ldexp(1.0, -24);
    if (activation == 3) bound = 1.2 * bound + std::fabs(r.y[n]) * std::ldexp(1.0, -21);
    if (activation >= 4) bound *= 4;  // slopes up to 4
    if (!(std::fabs(r.y[n] - double(y[n])) <= bound)) return int64_t(n);
  }
  return -1;
}

}  // namespace reference
