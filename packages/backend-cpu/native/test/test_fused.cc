// Steps that a plan computes together: the same numbers as one by one.
#include "plan_pieces.h"

using namespace dsconv;

namespace {

// A stem and the max pool behind it, whose result goes to any of the kinds of sinks. A plan that must give the stem's output away keeps the steps apart.
struct StemPool {
  int batch = 1, outputs = 16, mantissa = 8, block = 16, activation = kLinear;
  Window stem, pool;
  bool image = false, f32 = true;
  unsigned seed = 0;

  std::unique_ptr<Plan> plan(bool apart) const {
    Random rnd(seed);
    const auto floats = [](int64_t length) {
      BufferDesc b;
      b.length = length;
      return b;
    };
    BufferDesc rounded;
    rounded.is_image = true;
    rounded.spec.channels = outputs;
    rounded.spec.block = block;
    rounded.pixels = pool.out_pixels();
    std::vector<BufferDesc> buffers = {floats(stem.in_pixels() * stem.in_c), floats(stem.out_pixels() * outputs), floats(pool.out_pixels() * outputs), rounded, floats(pool.out_pixels() * outputs)};
    StepDesc first = step(Op::kDSConv2d, "stem", {0}, {1});
    first.w = stem;
    first.mantissa = mantissa;
    first.activation = activation;
    first.alpha = 0.25f;
    first.filter = pack_dsconv2d(Numbers(rnd, 8, stem.kh * stem.kw, stem.in_c, outputs, stem.in_c, true).source);
    for (int o = 0; o < outputs; o++) first.bias.push_back(rnd.real(-1, 1));
    StepDesc second = step(Op::kMaxPool, "pool", {1}, {});
    second.w = pool;
    if (f32) second.outputs.push_back(2);
    if (image) second.outputs.push_back(3);
    std::vector<StepDesc> steps = {first, second};
    std::vector<int> results;
    if (f32) results.push_back(2);
    if (image) {
      StepDesc decode = step(Op::kConvert, "decode", {3}, {4});
      decode.channels = outputs;
      decode.pixels = pool.out_pixels();
      steps.push_back(decode);
      results.push_back(4);
    }
    if (apart) results.push_back(1);
    return std::make_unique<Plan>(std::move(buffers), std::move(steps), std::vector<int>{0}, std::move(results), true);
  }
};

Window window(Random& rnd, int batch, int in_h, int in_w, int channels, int largest) {
  Window w;
  w.batch = batch;
  w.in_h = in_h;
  w.in_w = in_w;
  w.in_c = channels;
  w.kh = rnd.integer(1, min_of(largest, in_h));
  w.kw = rnd.integer(1, min_of(largest, in_w));
  w.stride_h = rnd.integer(1, 3);
  w.stride_w = rnd.integer(1, 3);
  // Less than the window: every output has something to read.
  const int top = rnd.integer(0, w.kh - 1), bottom = rnd.integer(0, w.kh - 1), left = rnd.integer(0, w.kw - 1), right = rnd.integer(0, w.kw - 1);
  w.pad_top = top;
  w.pad_left = left;
  w.out_h = (in_h + top + bottom - w.kh) / w.stride_h + 1;
  w.out_w = (in_w + left + right - w.kw) / w.stride_w + 1;
  return w;
}

void stem_pool(unsigned seed) {
  Random rnd(seed);
  StemPool c;
  c.seed = seed;
  c.batch = rnd.integer(1, 2);
  c.outputs = rnd.chance(3) ? rnd.integer(1, 70) : 16 * rnd.integer(1, 5);
  c.mantissa = rnd.chance(4) ? 0 : rnd.integer(4, 8);
  c.block = rnd.chance(2) ? 32 : 64;
  const int activations[] = {kLinear, kRelu, kRelu6, kSilu, kLeakyRelu};
  c.activation = activations[rnd.integer(0, 4)];
  c.stem = window(rnd, c.batch, rnd.integer(3, 30), rnd.integer(3, 30), rnd.integer(1, 4), 7);
  c.pool = window(rnd, c.batch, c.stem.out_h, c.stem.out_w, c.outputs, 3);
  c.image = rnd.chance(2);
  c.f32 = !c.image || rnd.chance(2);
  std::vector<float> x(c.stem.in_pixels() * c.stem.in_c);
  for (auto& v : x) v = rnd.real(-2, 2);
  const auto together = c.plan(false), apart = c.plan(true);
  for (Plan* plan : {together.get(), apart.get()}) {
    plan->bind({x.data()});
    for (size_t n = 0; n < plan->step_count(); n++) plan->step(n);
  }
  // All of the time counts for the first step of those computed together.
  if ((*together->profile())[1] != 0 || (*apart->profile())[1] == 0) fail_test("seed %u: the pool is not computed along with the stem where nothing else reads that, or is where something does", seed);
  for (size_t n = 0; n < together->output_count(); n++) {
    const float *a = together->output(n), *b = apart->output(n);
    for (int64_t i = 0; i < together->output_length(n); i++) {
      if (bits_of(a[i]) != bits_of(b[i])) fail_test("seed %u: stem and pool together give %g at %lld of output %zu; one by one %g", seed, a[i], static_cast<long long>(i), n, b[i]);
    }
  }
}

}  // namespace

void test_fused(int effort) {
  for (int n = 0; n < 40 * effort; n++) stem_pool(unsigned(n));
}
