// Where the time of ResNet-50 goes, one thread: peaks of the machine, every distinct layer alone, then the whole chain of convolutions.
// bench [block] [bits] [threads] [number of one layer to repeat for a profiler]
#include <algorithm>
#include <chrono>
#include <functional>
#include <map>

#include "../src/dsconv2d.h"
#include "../src/peaks.h"
#include "../src/thread_pool.h"
#include "test.h"

using namespace dsconv;

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Layer {
  int size, in, out, k, stride;
  bool residual;
};

struct Conv {
  Layer layer;
  Window w;
  std::shared_ptr<Filter> filter;
  std::shared_ptr<const Tiling> tiling;
  Buffer in_memory, out_memory, res_memory, bias;
  std::atomic<bool> huge{false};
  Image in, out, res;
  Output output;
  double macs() const { return double(w.out_pixels()) * layer.k * layer.k * layer.in * layer.out; }

  Conv(const Layer& l, int bits, int block) : layer(l) {
    w.in_h = w.in_w = l.size;
    w.in_c = l.in;
    w.kh = w.kw = l.k;
    w.stride_h = w.stride_w = l.stride;
    w.pad_top = w.pad_left = l.k / 2;
    w.out_h = w.out_w = (l.size + l.stride - 1) / l.stride;
    const size_t count = size_t(l.k) * l.k * l.in * l.out;
    std::vector<int8_t> q(count);
    for (auto& v : q) v = int8_t(rand() % (1 << bits) - (1 << (bits - 1)));
    std::vector<float> scales(size_t(l.k) * l.k * ceil_div(l.in, block) * l.out, 0.001f);
    FilterSource s;
    s.bits = bits;
    s.q = q.data();
    s.taps = l.k * l.k;
    s.depth = l.in;
    s.outputs = l.out;
    s.block = block;
    s.scales = scales.data();
    filter = pack_dsconv2d(s);
    if (!w.is_pointwise()) tiling = tiling_of(w);
    const auto image = [&](Buffer* memory, int channels, int64_t pixels) {
      ImageSpec spec = filter->image_spec(8);
      spec.channels = channels;
      spec.block = min_of(block, channels);
      memory->allocate(spec.bytes(pixels));
      Image i = Image::at(memory->data(), spec, pixels, &huge);
      std::vector<float> x(size_t(pixels) * channels);
      for (auto& v : x) v = float(rand() % 2001 - 1000) / 500;
      quantize_image(x.data(), &i);
      return i;
    };
    in = image(&in_memory, l.in, w.in_pixels());
    out = image(&out_memory, l.out, w.out_pixels());
    res = image(&res_memory, l.out, w.out_pixels());
    bias.allocate(l.out * sizeof(float));
    std::fill(bias.as<float>(), bias.as<float>() + l.out, 0.1f);
    output.channels = l.out;
    output.bias = bias.as<float>();
    output.activation = kRelu;
    if (l.residual) output.residual_image = &res;
    output.add(&out);
  }
  void run() {
    output.begin();
    dsconv2d_blocked(w, *filter, in, tiling.get(), output);
  }
};

double fastest(const std::function<void()>& f, int rounds) {
  double best = 1e9;
  for (int n = 0; n < rounds; n++) {
    const double t = now();
    f();
    best = std::min(best, now() - t);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int block = argc > 1 ? atoi(argv[1]) : 64, bits = argc > 2 ? atoi(argv[2]) : 4, threads = argc > 3 ? atoi(argv[3]) : 1;
  set_threads(threads);
  const Peaks peaks = measure_peaks(kernels().isa);
  const double vnni = peaks.int8_dot, fma = peaks.float_fma;
  std::printf("isa %s, %d thread(s), %d bits, B=%d; peaks of one core: int8 dot product %.1f GMAC/s, FMA %.1f GMAC/s\n", kernels().isa, threads, bits, block, vnni, fma);
  std::vector<Layer> layers;
  int channels = 64, size = 56;
  const int widths[] = {64, 128, 256, 512}, counts[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; stage++) {
    for (int n = 0; n < counts[stage]; n++) {
      const int w = widths[stage], stride = n || !stage ? 1 : 2;
      layers.push_back({size, channels, w, 1, 1, false});
      layers.push_back({size, w, w, 3, stride, false});
      if (!n) layers.push_back({size, channels, w * 4, 1, stride, false});
      size /= stride;
      layers.push_back({size, w, w * 4, 1, 1, true});
      channels = w * 4;
    }
  }
  std::vector<std::unique_ptr<Conv>> convs;
  for (const Layer& l : layers) convs.push_back(std::make_unique<Conv>(l, bits, block));
  if (argc > 4) {  // one layer for a profiler
    for (const double until = now() + 2; now() < until;) convs[atoi(argv[4])]->run();
    return 0;
  }
  std::map<std::string, bool> seen;
  double total = 0, macs = 0, percent = 0;
  for (auto& c : convs) {
    char name[100];
    const Layer& l = c->layer;
    std::snprintf(name, sizeof name, "%3dx%-3d %4d -> %4d %dx%d/%d%s", l.size, l.size, l.in, l.out, l.k, l.k, l.stride, l.residual ? " +res" : "");
    c->run();
    const double t = fastest([&] { c->run(); }, 20);
    total += t;
    macs += c->macs();
    const double share = 100 * c->macs() / t / 1e9 / vnni;
    percent += share;
    if (!seen[name]) std::printf("%-34s %7.1f us %6.1f GMAC/s %5.1f %% of peak\n", name, t * 1e6, c->macs() / t / 1e9, share);
    seen[name] = true;
  }
  std::printf("sum of layers alone: %.3f ms, %.1f GMAC/s, %.1f %% of peak; mean of the layers %.1f %%\n", total * 1e3, macs / total / 1e9, 100 * macs / total / 1e9 / vnni,
              percent / convs.size());
  const double chain = fastest([&] { for (auto& c : convs) c->run(); }, 30);
  std::printf("all convolutions in a row: %.3f ms, %.1f %% of peak\n", chain * 1e3, 100 * macs / chain / 1e9 / vnni);
  return 0;
}
