// Reads and writes at the very end of memory: every input ends where an inaccessible page begins, every output too, so that one float too many
// traps. (Guard words in the other tests catch writes before the beginning.)
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "../src/convolve.h"
#include "../src/ops.h"
#include "../src/thread_pool.h"
#include "test.h"

using namespace dsconv;

namespace {

// `count` floats whose end is the end of a page before one that traps.
class AtPageEnd {
 public:
  explicit AtPageEnd(size_t count) : count_(count) {
    const size_t page = size_t(sysconf(_SC_PAGESIZE)), bytes = count * sizeof(float);
    whole_ = round_up(bytes, page) + page;
    base_ = static_cast<uint8_t*>(mmap(nullptr, whole_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + whole_ - page, page, PROT_NONE) != 0) fail_test("no guarded page");
    data_ = reinterpret_cast<float*>(base_ + whole_ - page - bytes);
  }
  AtPageEnd(Random& rnd, size_t count) : AtPageEnd(count) {
    for (size_t n = 0; n < count; n++) data_[n] = rnd.real(-2, 2);
  }
  AtPageEnd(const AtPageEnd&) = delete;
  AtPageEnd& operator=(const AtPageEnd&) = delete;
  ~AtPageEnd() { munmap(base_, whole_); }
  float* data() { return data_; }
  size_t size() const { return count_; }
  // Every element was written, for outputs that start as NaN.
  void fill_nan() { std::fill(data_, data_ + count_, NAN); }
  void expect_written(const char* what) const {
    for (size_t n = 0; n < count_; n++) {
      if (data_[n] != data_[n]) fail_test("%s: output %zu of %zu was not written", what, n, count_);
    }
  }

 private:
  size_t count_, whole_;
  uint8_t* base_;
  float* data_;
};

struct Result {
  AtPageEnd y;
  Output out;
  Result(int64_t pixels, int channels) : y(size_t(pixels) * channels) {
    y.fill_nan();
    out.channels = channels;
    out.add(y.data());
  }
  void check(const char* what) { y.expect_written(what); }
};

Window window(Random& rnd, int channels) {
  Window w;
  w.batch = rnd.integer(1, 2);
  w.in_h = rnd.integer(1, 7);
  w.in_w = rnd.integer(1, 14);
  w.in_c = channels;
  w.kh = w.kw = rnd.chance(2) ? 3 : rnd.integer(1, 2);
  w.stride_h = w.stride_w = rnd.integer(1, 2);
  w.pad_top = w.pad_left = w.kh / 2;
  w.out_h = (w.in_h + 2 * w.pad_top - w.kh) / w.stride_h + 1;
  w.out_w = (w.in_w + 2 * w.pad_left - w.kw) / w.stride_w + 1;
  return w.out_h > 0 && w.out_w > 0 ? w : window(rnd, channels);
}

void quantized(Random& rnd) {
  const bool depthwise = rnd.chance(3);
  const Window w = window(rnd, rnd.chance(3) ? rnd.integer(1, 7) : rnd.integer(8, 70));
  const int mult = rnd.integer(1, 2), outputs = depthwise ? w.in_c * mult : rnd.integer(1, 70), taps = w.kh * w.kw, bits = 2 << rnd.integer(0, 2);
  const int block = rnd.integer(3, 70), depth = depthwise ? 1 : w.in_c;
  std::vector<int8_t> q(size_t(taps) * depth * outputs);
  for (auto& v : q) v = int8_t(rnd.integer(-(1 << (bits - 1)), (1 << (bits - 1)) - 1));
  FilterSource s;
  s.bits = bits;
  s.q = q.data();
  s.taps = taps;
  s.depth = depth;
  s.outputs = outputs;
  s.block = block;
  s.per_channel = depthwise || rnd.chance(2);
  AtPageEnd scales(rnd, s.per_channel ? size_t(outputs) : size_t(taps) * ceil_div(depth, block) * outputs);
  AtPageEnd shifts(rnd, size_t(taps) * ceil_div(depth, block) * outputs);
  s.scales = scales.data();
  s.shifts = !depthwise && rnd.chance(3) ? shifts.data() : nullptr;
  const auto filter = depthwise ? pack_depthwise(s) : pack_dsconv2d(s);
  AtPageEnd x(rnd, size_t(w.in_pixels()) * w.in_c), residual(rnd, size_t(w.out_pixels()) * outputs);
  Result r(w.out_pixels(), outputs);
  if (filter->channel_scales) r.out.scale = filter->channel_scales.as<float>();
  if (rnd.chance(2)) r.out.residual = residual.data();
  if (rnd.chance(3)) r.out.format = {rnd.integer(2, 8), rnd.integer(1, 70), 1};
  r.out.activation = rnd.integer(0, 4);
  convolve(w, *filter, block, x.data(), rnd.chance(4) ? 0 : rnd.integer(2, 8), r.out);
  r.check(depthwise ? "dsDepthwise" : "dsconv2d");
}

void floats(Random& rnd) {
  const Window w = window(rnd, rnd.integer(1, 40));
  const int outputs = rnd.integer(1, 70), taps = w.kh * w.kw, mult = rnd.integer(1, 2), wide = w.in_c * mult;
  AtPageEnd x(rnd, size_t(w.in_pixels()) * w.in_c), f(rnd, size_t(taps) * w.in_c * outputs), dy(rnd, size_t(w.out_pixels()) * outputs);
  const auto tiling = tiling_of(w);
  Result y(w.out_pixels(), outputs), dx(w.in_pixels(), w.in_c), dw(int64_t{taps} * w.in_c, outputs);
  conv2d_rows(w, *pack_float(f.data(), taps, w.in_c, outputs, 1), x.data(), tiling.get(), y.out);
  y.check("conv2d");
  conv2d_backprop_input(w, outputs, dy.data(), f.data(), dx.y.data());
  dx.check("conv2d backprop input");
  conv2d_backprop_filter(w, outputs, x.data(), dy.data(), dw.y.data());
  dw.check("conv2d backprop filter");
  AtPageEnd df(rnd, size_t(taps) * wide), ddy(rnd, size_t(w.out_pixels()) * wide);
  Result d(w.out_pixels(), wide), ddx(w.in_pixels(), w.in_c), ddw(taps, wide);
  DepthwiseSource source;
  source.x = x.data();
  source.multiplier = mult;
  source.w = df.data();
  depthwise_rows(w, source, d.out);
  d.check("depthwise");
  depthwise_backprop_input(w, mult, ddy.data(), df.data(), ddx.y.data());
  ddx.check("depthwise backprop input");
  depthwise_backprop_filter(w, mult, x.data(), ddy.data(), ddw.y.data());
  ddw.check("depthwise backprop filter");
  MatMul m;
  m.m = rnd.integer(1, 20);
  m.k = rnd.integer(1, 40);
  m.n = rnd.integer(1, 70);
  m.transpose_a = rnd.chance(2);
  m.transpose_b = rnd.chance(2);
  AtPageEnd a(rnd, size_t(m.m * m.k)), b(rnd, size_t(m.k * m.n));
  Result p(m.m, int(m.n));
  matmul(m, a.data(), b.data(), p.out);
  p.check("matMul");
}

void rest(Random& rnd) {
  const Window w = window(rnd, rnd.integer(1, 70));
  const int channels = w.in_c;
  const int64_t pixels = w.in_pixels(), n = pixels * channels;
  AtPageEnd x(rnd, size_t(n)), other(rnd, size_t(n)), per_channel(rnd, size_t(channels));
  Result largest(w.out_pixels(), channels), average(w.out_pixels(), channels), mean(w.batch, channels), same(pixels, channels);
  max_pool(w, x.data(), largest.out);
  largest.check("maxPool");
  avg_pool(w, x.data(), average.out);
  average.check("avgPool");
  mean_hw(x.data(), nullptr, w.batch, int64_t{w.in_h} * w.in_w, channels, mean.out);
  mean.check("meanHW");
  binary(rnd.integer(0, 5), x.data(), other.data(), same.y.data(), n, n);
  binary(rnd.integer(0, 5), x.data(), per_channel.data(), same.y.data(), n, channels);
  unary(rnd.integer(0, 8), x.data(), same.y.data(), n, 0.5f, per_channel.data(), channels);
  scale_shift(x.data(), per_channel.data(), per_channel.data(), same.y.data(), n, channels);
  softmax(x.data(), same.y.data(), pixels, channels);
  round_rows(x.data(), same.y.data(), pixels, channels, 1, rnd.integer(1, channels), rnd.integer(2, 8));
  same.check("element-wise");
  Result joined(pixels, 2 * channels);
  ConcatPart part;
  part.x = x.data();
  part.channels = channels;
  concat({part, part}, pixels, joined.out);
  joined.check("concat");
  Window border = w;
  border.pad_top = border.pad_left = 2;
  border.out_h = w.in_h + 3;
  border.out_w = w.in_w + 4;
  Result padded(border.out_pixels(), channels);
  pad(border, x.data(), 1.5f, padded.out);
  padded.check("pad");
}

}  // namespace

void test_bounds(int effort) {
  for (int n = 0; n < 40 * effort; n++) {
    Random rnd(4000 + n);
    set_threads(1 + n % 2);
    quantized(rnd);
    floats(rnd);
    rest(rnd);
  }
  set_threads(1);
}
