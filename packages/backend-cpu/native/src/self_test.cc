// Known answers for the kernels in use: small cases whose sums are exact in float32, against integers computed in the plainest way.
#include <vector>

#include "convolve.h"
#include "ops.h"

namespace dsconv {

std::string self_test();

namespace {

// A small deterministic generator: integers in [low, high].
struct Numbers {
  uint32_t state;
  int next(int low, int high) {
    state = state * 1664525u + 1013904223u;
    return low + int((state >> 8) % uint32_t(high - low + 1));
  }
};

std::string check(int bits, int channels, int outputs, int block, bool depthwise, bool per_channel) {
  Numbers numbers{uint32_t(bits * 1000 + channels)};
  Window w{1, 4, 5, channels, 4, 5, 3, 3, 1, 1, 1, 1, 1, 1};
  const int taps = 9, depth = depthwise ? 1 : channels, blocks = ceil_div(depth, block), low = -(1 << (bits - 1));
  std::vector<int8_t> q(size_t(taps) * depth * outputs);
  for (auto& v : q) v = int8_t(numbers.next(0, 5) ? numbers.next(low, -low - 1) : low);
  std::vector<float> scales(per_channel ? outputs : size_t(taps) * blocks * outputs), x(size_t(20) * channels), y(size_t(20) * outputs), bias(outputs + 16);
  for (auto& v : scales) v = float(numbers.next(0, 1) ? 1 : -2);
  // A first channel of 64..127 in each block makes all activation scales 1.
  for (size_t n = 0; n < x.size(); n++) x[n] = float(int(n) % channels % block == 0 ? numbers.next(64, 127) : numbers.next(-127, 127));
  for (auto& v : bias) v = float(numbers.next(-9, 9));
  FilterSource s;
  s.bits = bits;
  s.q = q.data();
  s.taps = taps;
  s.depth = depth;
  s.outputs = outputs;
  s.block = block;
  s.scales = scales.data();
  s.per_channel = per_channel;
  const auto filter = depthwise ? pack_depthwise(s) : pack_dsconv2d(s);
  Output out;
  out.channels = outputs;
  out.scale = filter->channel_scales ? filter->channel_scales.as<float>() : nullptr;
  out.bias = bias.data();
  out.activation = kRelu;
  out.add(y.data());
  convolve(w, *filter, block, x.data(), 8, out);
  for (int p = 0; p < 20; p++) {
    for (int o = 0; o < outputs; o++) {
      int64_t sum = int64_t(bias[o]);
      for (int t = 0; t < taps; t++) {
        const int iy = p / 5 + t / 3 - 1, ix = p % 5 + t % 3 - 1;
        if (iy < 0 || iy >= 4 || ix < 0 || ix >= 5) continue;
        for (int i = 0; i < depth; i++) {
          const int scale = int(scales[per_channel ? o : (t * blocks + i / block) * outputs + o]);
          sum += int64_t(scale) * q[(size_t(t) * depth + i) * outputs + o] * int(x[size_t(iy * 5 + ix) * channels + (depthwise ? o : i)]);
        }
      }
      const float expected = float(sum < 0 ? 0 : sum), found = y[size_t(p) * outputs + o];
      if (found != expected) {
        return std::string(depthwise ? "dsDepthwise" : "dsconv2d") + " with " + std::to_string(bits) + " bits computed " + std::to_string(found) + " for output " +
               std::to_string(p * outputs + o) + " of a known case on " + kernels().isa + "; expected " + std::to_string(expected);
      }
    }
  }
  return {};
}

}  // namespace

// Empty, or one sentence.
std::string self_test() {
  std::string wrong;
  for (int bits : {2, 4, 8}) {
    if (wrong.empty()) wrong = check(bits, 72, 50, 64, false, false);
    if (wrong.empty()) wrong = check(bits, 40, 33, 16, false, true);
    if (wrong.empty()) wrong = check(bits, 3, 20, 8, false, true);
    if (wrong.empty()) wrong = check(bits, 20, 20, 8, true, true);
  }
  if (!wrong.empty()) return wrong;
  // Product of integers.
  MatMul m;
  m.m = 7;
  m.k = 11;
  m.n = 37;
  Numbers numbers{5};
  std::vector<float> a(7 * 11), b(11 * 37), y(7 * 37);
  for (auto& v : a) v = float(numbers.next(-9, 9));
  for (auto& v : b) v = float(numbers.next(-9, 9));
  Output out;
  out.channels = 37;
  out.add(y.data());
  matmul(m, a.data(), b.data(), out);
  for (int r = 0; r < 7; r++) {
    for (int c = 0; c < 37; c++) {
      float sum = 0;
      for (int k = 0; k < 11; k++) sum += a[r * 11 + k] * b[k * 37 + c];
      if (y[r * 37 + c] != sum) return std::string("matMul computed ") + std::to_string(y[r * 37 + c]) + " in a known case on " + kernels().isa + "; expected " + std::to_string(sum);
    }
  }
  return {};
}

}  // namespace dsconv
