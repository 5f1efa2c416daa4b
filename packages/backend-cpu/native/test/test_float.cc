// Float convolutions, products and gradients against float64.
#include "../src/convolve.h"
#include "reference.h"
#include "test.h"

using namespace dsconv;

namespace {

void near(double expected, float found, double bound, const char* what, size_t at) {
  if (!(std::fabs(expected - double(found)) <= bound)) fail_test("%s: value %zu is %.9g, expected %.9g (isa %s)", what, at, found, expected, kernels().isa);
}

std::vector<float> random(Random& rnd, size_t count) {
  std::vector<float> v(count);
  for (auto& x : v) x = rnd.real(-1, 1);
  return v;
}

Window random_window(Random& rnd) {
  for (;;) {
    Window w;
    w.batch = rnd.integer(1, 2);
    w.in_h = rnd.integer(1, 9);
    w.in_w = rnd.integer(1, 9);
    w.in_c = rnd.integer(1, 40);
    w.kh = rnd.integer(1, 3);
    w.kw = rnd.integer(1, 3);
    w.stride_h = rnd.integer(1, 3);
    w.stride_w = rnd.integer(1, 2);
    w.dilation_h = rnd.integer(1, 2);
    w.dilation_w = rnd.integer(1, 2);
    w.pad_top = rnd.integer(0, 2);
    w.pad_left = rnd.integer(0, 2);
    w.out_h = (w.in_h + w.pad_top + rnd.integer(0, 2) - (w.kh - 1) * w.dilation_h - 1) / w.stride_h + 1;
    w.out_w = (w.in_w + w.pad_left + rnd.integer(0, 2) - (w.kw - 1) * w.dilation_w - 1) / w.stride_w + 1;
    if (w.out_h > 0 && w.out_w > 0) return w;
  }
}

// visit(output pixel, input pixel, tap) for every pair inside.
template <typename Visit>
void pairs(const Window& w, const Visit& visit) {
  for (int n = 0; n < w.batch; n++) for (int oy = 0; oy < w.out_h; oy++) for (int ox = 0; ox < w.out_w; ox++) for (int ky = 0; ky < w.kh; ky++) for (int kx = 0; kx < w.kw; kx++) {
    const int y = oy * w.stride_h + ky * w.dilation_h - w.pad_top, x = ox * w.stride_w + kx * w.dilation_w - w.pad_left;
    if (y < 0 || y >= w.in_h || x < 0 || x >= w.in_w) continue;
    visit((int64_t{n} * w.out_h + oy) * w.out_w + ox, (int64_t{n} * w.in_h + y) * w.in_w + x, ky * w.kw + kx);
  }
}

void convolutions(Random& rnd) {
  const Window w = random_window(rnd);
  const int o = rnd.integer(1, 70), c = w.in_c, taps = w.kh * w.kw;
  const auto x = random(rnd, w.in_pixels() * c), f = random(rnd, size_t(taps) * c * o), dy = random(rnd, w.out_pixels() * o);
  std::vector<double> y(w.out_pixels() * o), dx(x.size()), dw(f.size());
  pairs(w, [&](int64_t out, int64_t in, int tap) {
    for (int i = 0; i < c; i++) for (int k = 0; k < o; k++) {
      const double v = f[(size_t(tap) * c + i) * o + k];
      y[out * o + k] += v * x[in * c + i];
      dx[in * c + i] += v * dy[out * o + k];
      dw[(size_t(tap) * c + i) * o + k] += double(x[in * c + i]) * dy[out * o + k];
    }
  });
  const double bound = 1e-6 * (taps * c + 8 + w.out_pixels());
  const auto filter = pack_float(f.data(), taps, c, o, 1);
  const auto tiling = tiling_of(w);
  Guarded got(y.size()), gx(dx.size()), gw(dw.size());
  Output out;
  out.channels = o;
  out.add(got.data());
  conv2d_rows(w, *filter, x.data(), tiling.get(), out);
  for (size_t n = 0; n < y.size(); n++) near(y[n], got.data()[n], bound, "conv2d", n);
  got.check("conv2d");
  conv2d_backprop_input(w, o, dy.data(), f.data(), gx.data());
  for (size_t n = 0; n < dx.size(); n++) near(dx[n], gx.data()[n], 1e-6 * (taps * o + 8), "conv2d backprop input", n);
  gx.check("conv2d backprop input");
  conv2d_backprop_filter(w, o, x.data(), dy.data(), gw.data());
  for (size_t n = 0; n < dw.size(); n++) near(dw[n], gw.data()[n], bound, "conv2d backprop filter", n);
  gw.check("conv2d backprop filter");
}

void depthwise(Random& rnd) {
  const Window w = random_window(rnd);
  const int c = w.in_c, mult = rnd.integer(1, 2), o = c * mult, taps = w.kh * w.kw;
  const auto x = random(rnd, w.in_pixels() * c), f = random(rnd, size_t(taps) * o), dy = random(rnd, w.out_pixels() * o);
  std::vector<double> y(w.out_pixels() * o), dx(x.size()), dw(f.size());
  pairs(w, [&](int64_t out, int64_t in, int tap) {
    for (int k = 0; k < o; k++) {
      y[out * o + k] += double(f[size_t(tap) * o + k]) * x[in * c + k / mult];
      dx[in * c + k / mult] += double(f[size_t(tap) * o + k]) * dy[out * o + k];
      dw[size_t(tap) * o + k] += double(x[in * c + k / mult]) * dy[out * o + k];
    }
  });
  Guarded got(y.size()), gx(dx.size()), gw(dw.size());
  Output out;
  out.channels = o;
  out.add(got.data());
  DepthwiseSource s;
  s.x = x.data();
  s.multiplier = mult;
  s.w = f.data();
  depthwise_rows(w, s, out);
  depthwise_backprop_input(w, mult, dy.data(), f.data(), gx.data());
  depthwise_backprop_filter(w, mult, x.data(), dy.data(), gw.data());
  for (size_t n = 0; n < y.size(); n++) near(y[n], got.data()[n], 1e-4, "depthwise", n);
  for (size_t n = 0; n < dx.size(); n++) near(dx[n], gx.data()[n], 1e-4, "depthwise backprop input", n);
  for (size_t n = 0; n < dw.size(); n++) near(dw[n], gw.data()[n], 1e-4, "depthwise backprop filter", n);
  got.check("depthwise");
  gx.check("depthwise");
  gw.check("depthwise");
}

void products(Random& rnd) {
  MatMul m;
  m.batch = rnd.integer(1, 3);
  m.m = rnd.integer(1, 30);
  m.k = rnd.integer(1, 50);
  m.n = rnd.integer(1, 80);
  m.transpose_a = rnd.chance(2);
  m.transpose_b = rnd.chance(2);
  m.a_stride = rnd.chance(3) ? 0 : m.m * m.k;
  m.b_stride = rnd.chance(3) ? 0 : m.k * m.n;
  const auto a = random(rnd, m.batch * m.m * m.k), b = random(rnd, m.batch * m.k * m.n);
  Guarded got(m.batch * m.m * m.n);
  Output out;
  out.channels = int(m.n);
  out.add(got.data());
  matmul(m, a.data(), b.data(), out);
  for (int64_t e = 0; e < m.batch; e++) for (int64_t r = 0; r < m.m; r++) for (int64_t c = 0; c < m.n; c++) {
    double sum = 0;
    for (int64_t k = 0; k < m.k; k++) sum += double(a[e * m.a_stride + (m.transpose_a ? k * m.m + r : r * m.k + k)]) * b[e * m.b_stride + (m.transpose_b ? c * m.k + k : k * m.n + c)];
    near(sum, got.data()[(e * m.m + r) * m.n + c], 1e-5, "matmul", size_t((e * m.m + r) * m.n + c));
  }
  got.check("matmul");
}

}  // namespace

void test_float(int effort) {
  for (int n = 0; n < 25 * effort; n++) {
    Random rnd(300 + n);
    convolutions(rnd);
    depthwise(rnd);
    products(rnd);
  }
}
