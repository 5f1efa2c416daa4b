#include "self_test.h"

#include <cmath>
#include <vector>

#include "convolve.h"
#include "ops.h"

namespace dsconv {
namespace {

// A small deterministic generator: integers in [low, high].
struct Numbers {
  uint32_t state;
  int next(int low, int high) {
    state = state * 1664525u + 1013904223u;
    return low + int((state >> 8) % uint32_t(high - low + 1));
  }
  std::vector<float> many(size_t count, int low, int high) {
    std::vector<float> v(count);
    for (auto& x : v) x = float(next(low, high));
    return v;
  }
};

std::string differs(const char* what, size_t at, float found, float expected) {
  return std::string(what) + " computed " + std::to_string(found) + " for output " + std::to_string(at) + " of a known case on " + kernels().isa + "; expected " + std::to_string(expected);
}

std::string compare(const char* what, const std::vector<float>& found, const std::vector<float>& expected) {
  for (size_t n = 0; n < expected.size(); n++) {
    if (!(found[n] == expected[n])) return differs(what, n, found[n], expected[n]);
  }
  return {};
}

// The 3×3 window of output pixel p of a 4×5 image: visit(tap, input pixel) for those inside.
constexpr int kPixels = 20;
const Window kWindow{1, 4, 5, 1, 4, 5, 3, 3, 1, 1, 1, 1, 1, 1};
template <typename Visit>
void each_tap(int p, const Visit& visit) {
  for (int t = 0; t < 9; t++) {
    const int y = p / 5 + t / 3 - 1, x = p % 5 + t % 3 - 1;
    if (y >= 0 && y < 4 && x >= 0 && x < 5) visit(t, y * 5 + x);
  }
}

// Integers whose blocks have scale 1: the first of each is 64 to 127.
std::vector<float> activations(Numbers& numbers, int channels, int block) {
  std::vector<float> x(size_t(kPixels) * channels);
  for (size_t n = 0; n < x.size(); n++) x[n] = float(int(n) % channels % block == 0 ? numbers.next(64, 127) : numbers.next(-127, 127));
  return x;
}

struct Convolution {
  Window w = kWindow;
  std::shared_ptr<Filter> filter;
  std::vector<float> x, bias, expected;  // expected: with bias and relu
};

Convolution convolution(int bits, int channels, int outputs, int block, bool depthwise, bool per_channel, bool shifted) {
  Convolution c;
  Numbers numbers{uint32_t(bits * 1000 + channels)};
  c.w.in_c = channels;
  const int depth = depthwise ? 1 : channels, blocks = ceil_div(depth, block), low = -(1 << (bits - 1));
  std::vector<int8_t> q(size_t(9) * depth * outputs);
  for (auto& v : q) v = int8_t(numbers.next(0, 5) ? numbers.next(low, -low - 1) : low);
  const size_t entries = size_t(9) * blocks * outputs;
  std::vector<float> scales(per_channel ? outputs : entries), shifts;
  for (auto& v : scales) v = float(numbers.next(0, 1) ? 1 : -2);
  if (shifted) shifts = numbers.many(entries, -2, 2);
  c.x = activations(numbers, channels, block);
  c.bias = numbers.many(size_t(outputs) + 16, -9, 9);
  FilterSource s;
  s.bits = bits;
  s.q = q.data();
  s.taps = 9;
  s.depth = depth;
  s.outputs = outputs;
  s.block = block;
  s.scales = scales.data();
  s.per_channel = per_channel;
  s.shifts = shifted ? shifts.data() : nullptr;
  c.filter = depthwise ? pack_depthwise(s) : pack_dsconv2d(s);
  c.expected.resize(size_t(kPixels) * outputs);
  for (int p = 0; p < kPixels; p++) {
    for (int o = 0; o < outputs; o++) {
      int64_t sum = int64_t(c.bias[o]);
      each_tap(p, [&](int t, int pixel) {
        for (int i = 0; i < depth; i++) {
          const size_t entry = size_t(t * blocks + i / block) * outputs + o;
          const int64_t weight = int64_t(scales[per_channel ? o : entry]) * q[(size_t(t) * depth + i) * outputs + o] + (shifted ? int64_t(shifts[entry]) : 0);
          sum += weight * int64_t(c.x[size_t(pixel) * channels + (depthwise ? o : i)]);
        }
      });
      c.expected[size_t(p) * outputs + o] = float(sum < 0 ? 0 : sum);
    }
  }
  return c;
}

Output output_of(const Convolution& c) {
  Output out;
  out.channels = c.filter->outputs;
  out.scale = c.filter->channel_scales ? c.filter->channel_scales.as<float>() : nullptr;
  out.bias = c.bias.data();
  out.activation = kRelu;
  return out;
}

std::string check_convolution(int bits, int channels, int outputs, int block, bool depthwise, bool per_channel, bool shifted = false) {
  const Convolution c = convolution(bits, channels, outputs, block, depthwise, per_channel, shifted);
  std::vector<float> y(c.expected.size());
  Output out = output_of(c);
  out.add(y.data());
  convolve(c.w, *c.filter, block, c.x.data(), 8, out);
  return compare((std::string(depthwise ? "dsDepthwise" : "dsconv2d") + " with " + std::to_string(bits) + " bits").c_str(), y, c.expected);
}

// x̂ by the definition.
std::vector<float> rounded(const std::vector<float>& x, int block) {
  std::vector<float> y(x.size());
  for (size_t first = 0; first < x.size(); first += block) {
    float largest = 0;
    for (int i = 0; i < block; i++) largest = max_of(largest, std::fabs(x[first + i]));
    const double scale = largest > 0 ? std::ldexp(1.0, std::ilogb(largest) - 6) : 1;
    for (int i = 0; i < block; i++) y[first + i] = float(min_of(max_of(std::nearbyint(x[first + i] / scale), -127.0), 127.0) * scale);
  }
  return y;
}

struct OwnedImage {
  std::atomic<bool> huge{false};
  Buffer memory;
  Image image;
  explicit OwnedImage(const ImageSpec& spec) : memory(spec.bytes(kPixels)), image(Image::at(memory.data(), spec, kPixels, &huge)) {}
};

// A convolution between images with a residual that is one, then back to floats: what plans are made of.
std::string check_images() {
  constexpr int channels = 64, block = 32;
  Convolution c = convolution(4, channels, channels, block, false, false, false);
  Numbers numbers{9};
  const std::vector<float> shortcut = activations(numbers, channels, block);
  const ImageSpec spec = c.filter->image_spec(8);
  OwnedImage from(spec), residual(spec), to(spec);
  quantize_image(c.x.data(), &from.image);
  quantize_image(shortcut.data(), &residual.image);
  // Without relu before the sum: the residual decides on signs too.
  Output out = output_of(c);
  out.activation = kLinear;
  out.residual_image = &residual.image;
  out.add(&to.image);
  out.begin();
  const auto tiling = tiling_of(c.w);
  dsconv2d_blocked(c.w, *c.filter, from.image, tiling.get(), out);
  to.image.settle();
  std::vector<float> linear(c.expected.size()), y(c.expected.size());
  Output plain = output_of(c);
  plain.activation = kLinear;
  plain.add(linear.data());
  convolve(c.w, *c.filter, block, c.x.data(), 8, plain);
  for (size_t n = 0; n < linear.size(); n++) {
    // Held against the integers where relu let them through.
    if (c.expected[n] > 0 && linear[n] != c.expected[n]) return differs("dsconv2d", n, linear[n], c.expected[n]);
    linear[n] += shortcut[n];
  }
  Output back;
  back.channels = channels;
  back.add(y.data());
  decode_rows(to.image, back);
  return compare("dsconv2d between images", y, rounded(linear, block));
}

std::string check_floats() {
  constexpr int channels = 21, outputs = 37;
  Numbers numbers{5};
  Window w = kWindow;
  w.in_c = channels;
  const auto x = numbers.many(size_t(kPixels) * channels, -9, 9), dy = numbers.many(size_t(kPixels) * outputs, -9, 9), f = numbers.many(size_t(9) * channels * outputs, -9, 9);
  std::vector<float> y(size_t(kPixels) * outputs), expected(y.size()), dw(f.size()), expected_dw(f.size());
  std::vector<float> largest(x.size()), expected_largest(x.size(), -INFINITY), mean(channels), expected_mean(channels);
  for (int p = 0; p < kPixels; p++) {
    each_tap(p, [&](int t, int pixel) {
      for (int i = 0; i < channels; i++) {
        const float v = x[size_t(pixel) * channels + i];
        expected_largest[size_t(p) * channels + i] = max_of(expected_largest[size_t(p) * channels + i], v);
        for (int o = 0; o < outputs; o++) {
          expected[size_t(p) * outputs + o] += v * f[(size_t(t) * channels + i) * outputs + o];
          expected_dw[(size_t(t) * channels + i) * outputs + o] += v * dy[size_t(p) * outputs + o];
        }
      }
    });
  }
  const auto to = [](std::vector<float>& v, int width) {
    Output out;
    out.channels = width;
    out.add(v.data());
    return out;
  };
  const auto tiling = tiling_of(w);
  conv2d_rows(w, *pack_float(f.data(), 9, channels, outputs, 1), x.data(), tiling.get(), to(y, outputs));
  std::string wrong = compare("conv2d", y, expected);
  if (!wrong.empty()) return wrong;
  conv2d_backprop_filter(w, outputs, x.data(), dy.data(), dw.data());
  wrong = compare("conv2d's gradient for the filter", dw, expected_dw);
  if (!wrong.empty()) return wrong;
  max_pool(w, x.data(), to(largest, channels));
  wrong = compare("maxPool", largest, expected_largest);
  if (!wrong.empty()) return wrong;
  // 16 pixels: dividing by a power of two is exact.
  for (int i = 0; i < channels; i++) {
    for (int p = 0; p < 16; p++) expected_mean[i] += x[size_t(p) * channels + i] / 16;
  }
  mean_hw(x.data(), nullptr, 1, 16, channels, to(mean, channels));
  return compare("meanHW", mean, expected_mean);
}

}  // namespace

std::string self_test() {
  std::string wrong;
  for (int bits : {2, 4, 8}) {
    if (wrong.empty()) wrong = check_convolution(bits, 72, 50, 64, false, false);
    if (wrong.empty()) wrong = check_convolution(bits, 40, 33, 16, false, true);
    if (wrong.empty()) wrong = check_convolution(bits, 40, 33, 16, false, true, true);
    if (wrong.empty()) wrong = check_convolution(bits, 3, 20, 8, false, true);
    if (wrong.empty()) wrong = check_convolution(bits, 20, 20, 8, true, true);
  }
  if (wrong.empty()) wrong = check_images();
  if (wrong.empty()) wrong = check_floats();
  return wrong;
}

}  // namespace dsconv
