// Quantized convolutions against the float64 reference: random shapes, exact and bounded tiers, every instruction set, guard words.
#include <cstring>

#include "../src/convolve.h"
#include "../src/thread_pool.h"
#include "reference.h"
#include "test.h"

using namespace dsconv;
using reference::Case;

namespace {

// Fills a case's numbers. exact: small integer activations and power-of-two scales, so that every sum is exact.
void fill(Case* c, Random& rnd, bool exact) {
  const int depth = c->depthwise ? 1 : c->w.in_c / c->groups, taps = c->w.kh * c->w.kw;
  const int blocks = c->depthwise ? 1 : (depth + c->block - 1) / c->block;
  const int low = -(1 << (c->bits - 1)), high = -low - 1;
  c->q.resize(size_t(taps) * depth * c->outputs);
  for (auto& v : c->q) v = int8_t(rnd.chance(20) ? low : rnd.integer(low, high));
  c->scales.resize(c->per_channel ? c->outputs : size_t(taps) * blocks * c->outputs);
  for (auto& v : c->scales) v = exact ? std::ldexp(1.0f, rnd.integer(-2, 2)) * (rnd.chance(2) ? 1 : -1) : rnd.chance(30) ? 0 : rnd.real(-0.1f, 0.1f);
  for (auto& v : c->shifts) v = exact ? float(rnd.integer(-2, 2)) : rnd.real(-0.1f, 0.1f);
  c->x.resize(c->w.in_pixels() * c->w.in_c);
  for (auto& v : c->x) v = exact ? float(rnd.chance(9) ? -127 : rnd.integer(-127, 127)) : rnd.chance(12) ? 0 : rnd.real(-4, 4) * (rnd.chance(15) ? 1e-3f : 1);
  if (exact) {
    // 64..127 in each block makes every scale 1.
    for (int64_t p = 0; p < c->w.in_pixels(); p++) {
      for (int i = 0; i < c->w.in_c; i++) {
        const int inside = c->depthwise ? i : i % depth;
        if (inside % c->block == 0 && std::fabs(c->x[p * c->w.in_c + i]) < 64) c->x[p * c->w.in_c + i] = 100;
      }
    }
  }
  for (auto& v : c->bias) v = exact ? float(rnd.integer(-50, 50)) : rnd.real(-2, 2);
  for (auto& v : c->residual) v = exact ? float(rnd.integer(-50, 50)) : rnd.real(-2, 2);
  for (auto& v : c->alphas) v = rnd.real(-1, 1);
}

FilterSource source_of(const Case& c) {
  FilterSource s;
  s.bits = c.bits;
  s.q = c.q.data();
  s.taps = c.w.kh * c.w.kw;
  s.depth = c.depthwise ? 1 : c.w.in_c / c.groups;
  s.outputs = c.outputs;
  s.groups = c.depthwise ? 1 : c.groups;
  s.block = c.block;
  s.scales = c.scales.data();
  s.per_channel = c.per_channel;
  s.shifts = c.shifts.empty() ? nullptr : c.shifts.data();
  return s;
}

void out_size(Window* w, int pad_bottom, int pad_right) {
  w->out_h = (w->in_h + w->pad_top + pad_bottom - (w->kh - 1) * w->dilation_h - 1) / w->stride_h + 1;
  w->out_w = (w->in_w + w->pad_left + pad_right - (w->kw - 1) * w->dilation_w - 1) / w->stride_w + 1;
}

Case random_case(Random& rnd, bool exact) {
  for (;;) {
    Case c;
    Window& w = c.w;
    w.batch = rnd.integer(1, 2);
    w.in_h = rnd.integer(1, 11);
    w.in_w = rnd.integer(1, 11);
    const bool pointwise = rnd.chance(3);
    w.kh = pointwise ? 1 : rnd.integer(1, 4);
    w.kw = pointwise ? 1 : rnd.integer(1, 4);
    if (!pointwise) {
      w.stride_h = rnd.integer(1, 3);
      w.stride_w = rnd.integer(1, 3);
      w.dilation_h = rnd.integer(1, 2);
      w.dilation_w = rnd.integer(1, 2);
      w.pad_top = rnd.integer(0, 3);
      w.pad_left = rnd.integer(0, 3);
    }
    out_size(&w, pointwise ? 0 : rnd.integer(0, 3), pointwise ? 0 : rnd.integer(0, 3));
    if (w.out_h < 1 || w.out_w < 1) continue;
    c.groups = rnd.chance(3) ? rnd.integer(2, 3) : 1;
    const int depth = rnd.chance(2) ? rnd.integer(1, 40) : rnd.integer(16, 150);
    w.in_c = depth * c.groups;
    c.outputs = c.groups * (rnd.chance(2) ? rnd.integer(1, 40) : rnd.integer(30, 130));
    const int blocks[] = {3, 8, 16, 24, 32, 64, 128, 512};
    c.block = blocks[rnd.integer(0, 7)];
    const int bits[] = {2, 3, 4, 4, 4, 5, 8, 8};
    c.bits = bits[rnd.integer(0, 7)];
    c.mantissa = exact || rnd.chance(2) ? 8 : rnd.integer(2, 8);
    c.per_channel = rnd.chance(3);
    const int depth_blocks = (depth + c.block - 1) / c.block;
    if (rnd.chance(4)) c.shifts.resize(size_t(w.kh) * w.kw * depth_blocks * c.outputs);
    if (rnd.chance(2)) c.bias.resize(c.outputs);
    if (rnd.chance(3)) c.residual.resize(w.out_pixels() * c.outputs);
    c.activation = rnd.integer(0, 5);
    if (c.activation == 5) c.alphas.resize(c.outputs);
    if (exact) c.activation = rnd.integer(0, 2);
    return c;
  }
}

std::string describe(const Case& c) {
  char text[400];
  const Window& w = c.w;
  std::snprintf(text, sizeof text, "%s n%d %dx%dx%d -> %dx%dx%d k%dx%d s%d,%d d%d,%d p%d,%d g%d B%d b%d m%d pc%d shift%d bias%d res%d act%d",
                c.depthwise ? "dw" : "conv", w.batch, w.in_h, w.in_w, w.in_c, w.out_h, w.out_w, c.outputs, w.kh, w.kw, w.stride_h, w.stride_w, w.dilation_h,
                w.dilation_w, w.pad_top, w.pad_left, c.groups, c.block, c.bits, c.mantissa, c.per_channel, !c.shifts.empty(), !c.bias.empty(),
                !c.residual.empty(), c.activation);
  return text;
}

// Runs the case; y guarded. Returns the outputs.
std::vector<float> run(const Case& c, int format_mantissa = 0) {
  auto filter = c.depthwise ? pack_depthwise(source_of(c)) : pack_dsconv2d(source_of(c));
  Guarded y(c.w.out_pixels() * c.outputs);
  Padded bias(c.bias), alphas(c.alphas), scale(std::vector<float>(filter->channel_scales ? filter->channel_scales.as<float>() : nullptr,
                                            filter->channel_scales ? filter->channel_scales.as<float>() + c.outputs : nullptr));
  Output out;
  out.channels = c.outputs;
  out.scale = filter->channel_scales ? scale.data() : nullptr;
  out.bias = c.bias.empty() ? nullptr : bias.data();
  out.alphas = c.alphas.empty() ? nullptr : alphas.data();
  out.residual = c.residual.empty() ? nullptr : c.residual.data();
  out.activation = c.activation;
  out.alpha = c.alpha;
  if (format_mantissa) out.format = {format_mantissa, 16, 1};
  out.add(y.data());
  convolve(c.w, *filter, c.depthwise ? c.block : 0, c.x.data(), c.mantissa, out);
  y.check(describe(c));
  return std::vector<float>(y.data(), y.data() + y.size());
}

void compare(const Case& c, bool exact) {
  const auto expected = reference::convolve(c);
  const auto y = run(c);
  const int64_t wrong = reference::first_wrong(expected, y.data(), c.activation, exact);
  if (wrong >= 0) {
    fail_test("%s: output %lld is %.9g, expected %.9g (magnitude %g) isa %s", describe(c).c_str(), (long long)wrong, y[wrong], expected.y[wrong],
              expected.magnitude[wrong], kernels().isa);
  }
}

void random_shapes(int count) {
  for (int n = 0; n < count; n++) {
    Random rnd(1000 + n);
    const bool exact = n % 3 == 0;
    Case c = random_case(rnd, exact);
    fill(&c, rnd, exact);
    compare(c, exact);
  }
}

void specials() {
  // Zero blocks, NaN, infinity, huge and tiny values, each in its own pixel.
  Random rnd(7);
  Case c;
  c.w.in_h = 1;
  c.w.in_w = c.w.out_w = 13;
  c.w.in_c = 96;
  c.outputs = 40;
  c.block = 32;
  fill(&c, rnd, false);
  const auto row = [&](int p) { return c.x.data() + p * 96; };
  for (int i = 0; i < 96; i++) {
    row(0)[i] = 0;
    row(2)[i] *= 1e-32f;
    row(4)[i] *= 1e-36f;
  }
  row(1)[5] = NAN;
  row(3)[95] = INFINITY;
  row(9)[40] = -NAN;
  compare(c, false);
  for (int i = 0; i < 96; i++) {
    row(6)[i] *= 2e37f;
    row(7)[i] = (i % 2 ? 1 : -1) * 3.4e38f;
    row(8)[i] *= 1e34f;
  }
  for (auto& s : c.scales) s *= 1e-3f;
  compare(c, false);
  // Full blocks of -128 by -127, and the largest block that is allowed.
  Case e;
  e.w.in_c = 1024;
  e.w.in_w = e.w.out_w = 3;
  e.outputs = 33;
  e.block = 1024;
  e.bits = 8;
  fill(&e, rnd, true);
  std::fill(e.q.begin(), e.q.end(), int8_t(-128));
  std::fill(e.x.begin(), e.x.end(), -127.0f);
  std::fill(e.scales.begin(), e.scales.end(), 1.0f);
  compare(e, true);
  e.block = 256;
  e.scales.assign(4 * 33, 1.0f);
  compare(e, true);
}

// BFP sinks, BFP residuals and outputFormat against rounding of the f32 results.
void chains(int count) {
  for (int n = 0; n < count; n++) {
    Random rnd(90000 + n);
    Case c = random_case(rnd, false);
    c.groups = 1;
    if (c.per_channel && c.w.in_c < 16) continue;
    c.activation = rnd.integer(0, 2);
    const int depth_blocks = (c.w.in_c + c.block - 1) / c.block;
    if (!c.shifts.empty()) c.shifts.resize(size_t(c.w.kh) * c.w.kw * depth_blocks * c.outputs);
    c.residual.clear();
    fill(&c, rnd, false);
    const auto y = run(c);
    // The same with an image sink and an image residual of zeros' place: decode(image) must be round(y).
    auto filter = pack_dsconv2d(source_of(c));
    ImageSpec in = filter->image_spec(c.mantissa), to;
    to.channels = c.outputs;
    const int groups[] = {1, 1, 1, 2, 3};
    to.groups = groups[rnd.integer(0, 4)];
    if (c.outputs % to.groups) to.groups = 1;
    const int blocks[] = {5, 16, 32, 64, 128, 1000};
    to.block = min_of(blocks[rnd.integer(0, 5)], to.depth());
    to.mantissa = rnd.integer(2, 8);
    to.storage = 2 << rnd.integer(0, 2);
    to.sums = rnd.chance(2);
    std::atomic<bool> huge_in{false}, huge_to{false};
    Buffer in_memory(in.bytes(c.w.in_pixels())), to_memory(to.bytes(c.w.out_pixels()));
    Image input = Image::at(in_memory.data(), in, c.w.in_pixels(), &huge_in), image = Image::at(to_memory.data(), to, c.w.out_pixels(), &huge_to);
    quantize_image(c.x.data(), &input);
    Padded bias(c.bias), scale(c.per_channel ? c.scales : std::vector<float>());
    Guarded both(y.size());
    Output out;
    out.channels = c.outputs;
    out.scale = filter->channel_scales ? scale.data() : nullptr;
    out.bias = c.bias.empty() ? nullptr : bias.data();
    out.activation = c.activation;
    out.add(&image);
    out.add(both.data());
    const bool rounded = rnd.chance(2);
    if (rounded) out.format = {to.mantissa, to.block, to.groups};
    out.begin();
    const auto tiling = c.w.is_pointwise() ? nullptr : tiling_of(c.w);
    dsconv2d_blocked(c.w, *filter, input, tiling.get(), out);
    image.settle();
    const auto expected = reference::quantize(y.data(), c.w.out_pixels(), c.outputs, to.groups, to.block, to.mantissa);
    for (int64_t p = 0; p < c.w.out_pixels(); p++) {
      for (int o = 0; o < c.outputs; o++) {
        const int entry = o / to.depth() * to.blocks_per_group() + o % to.depth() / to.block;
        const double want = expected.mantissa[p * c.outputs + o] * expected.scale[p * to.entries() + entry];
        const float got = image.rows[p * to.stride() + o] * scale_of(image.records[p * to.entries() + entry], image.plain);
        const float f = both.data()[p * c.outputs + o];
        if (double(got) != want || (rounded ? f != got : f != y[p * c.outputs + o])) {
          fail_test("chain %s to B%d g%d m%d: pixel %lld channel %d: image %g, f32 %g, expected %g", describe(c).c_str(), to.block, to.groups, to.mantissa,
                    (long long)p, o, got, f, want);
        }
      }
      for (int e = 0; e < to.entries(); e++) {
        int64_t sum = 0;
        const int g = e / to.blocks_per_group(), j = e % to.blocks_per_group();
        for (int i = j * to.block; i < min_of(to.depth(), (j + 1) * to.block); i++) sum += expected.mantissa[p * c.outputs + g * to.depth() + i];
        if (to.sums && double(image.sums[p * to.entries() + e]) != double(sum) * expected.scale[p * to.entries() + e]) fail_test("chain %s: sums", describe(c).c_str());
      }
    }
    both.check(describe(c));
  }
}

void threads() {
  Random rnd(5);
  for (int n = 0; n < 12; n++) {
    Case c = random_case(rnd, false);
    fill(&c, rnd, false);
    set_threads(1);
    const auto one = run(c);
    for (int t : {2, 3, 5}) {
      set_threads(t);
      const auto many = run(c);
      if (std::memcmp(one.data(), many.data(), one.size() * sizeof(float)) != 0) fail_test("%s: %d threads differ", describe(c).c_str(), t);
    }
  }
  set_threads(1);
}

void depthwise(int count) {
  for (int n = 0; n < count; n++) {
    Random rnd(50000 + n);
    const bool exact = n % 3 == 0;
    Case c = random_case(rnd, exact);
    c.depthwise = true;
    c.groups = 1;
    const int mult = rnd.chance(4) ? rnd.integer(2, 3) : 1;
    c.outputs = c.w.in_c * mult;
    c.per_channel = true;
    c.shifts.clear();
    if (!c.bias.empty()) c.bias.resize(c.outputs);
    if (!c.residual.empty()) c.residual.resize(c.w.out_pixels() * c.outputs);
    if (!c.alphas.empty()) c.alphas.resize(c.outputs);
    if (!exact && rnd.chance(4)) c.mantissa = 0;
    fill(&c, rnd, exact);
    compare(c, exact);
  }
}

void float_activations(int count) {
  for (int n = 0; n < count; n++) {
    Random rnd(70000 + n);
    Case c = random_case(rnd, false);
    c.mantissa = 0;
    fill(&c, rnd, false);
    compare(c, false);
  }
}

}  // namespace

void test_dsconv2d(int effort) {
  random_shapes(60 * effort);
  specials();
  chains(30 * effort);
  threads();
  depthwise(30 * effort);
  float_activations(10 * effort);
}
