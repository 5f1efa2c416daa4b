// Plans under load: several at once, changing numbers of threads, disposal and shutdown while they run. ThreadSanitizer's main course.
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "../src/executor.h"
#include "../src/thread_pool.h"
#include "plan_pieces.h"

using namespace dsconv;

namespace {

constexpr int kSize = 9, kChannels = 24, kWide = 70, kClasses = 11;
constexpr int kInput = kSize * kSize * 3;

// A small network with every kind of memory: stem, image sinks beside f32, a residual from an image, depthwise, pool, dense.
std::unique_ptr<Plan> network(unsigned seed, bool profile) {
  Random rnd(seed);
  Window same;
  same.in_h = same.in_w = same.out_h = same.out_w = kSize;
  same.kh = same.kw = 3;
  same.pad_top = same.pad_left = 1;
  const int pixels = kSize * kSize;
  ImageSpec narrow;
  narrow.channels = kChannels;
  narrow.block = 16;
  ImageSpec wide = narrow;
  wide.channels = kWide;
  const auto floats = [](int64_t length) {
    BufferDesc b;
    b.length = length;
    return b;
  };
  const auto image = [&](const ImageSpec& spec) {
    BufferDesc b;
    b.is_image = true;
    b.spec = spec;
    b.pixels = pixels;
    return b;
  };
  std::vector<BufferDesc> buffers = {floats(kInput),           image(narrow), floats(pixels * kChannels), image(wide),     floats(pixels * kChannels),
                                     floats(pixels * kChannels), floats(kChannels), floats(kClasses)};
  std::vector<StepDesc> steps;
  StepDesc stem = step(Op::kDSConv2d, "stem", {0}, {1, 2});
  stem.w = same;
  stem.w.in_c = 3;
  stem.mantissa = 8;
  stem.filter = pack_dsconv2d(Numbers(rnd, 8, 9, 3, kChannels, 3, true).source);
  steps.push_back(stem);
  StepDesc up = step(Op::kDSConv2d, "up", {1}, {3});
  up.w = same;
  up.w.in_c = kChannels;
  up.activation = kRelu;
  up.filter = pack_dsconv2d(Numbers(rnd, 4, 9, kChannels, kWide, 16, false).source);
  steps.push_back(up);
  StepDesc down = step(Op::kDSConv2d, "down", {3}, {4});
  down.w = same;
  down.w.kh = down.w.kw = 1;
  down.w.pad_top = down.w.pad_left = 0;
  down.w.in_c = kWide;
  down.residual = 1;
  down.bias.assign(kChannels, 0.5f);
  down.filter = pack_dsconv2d(Numbers(rnd, 4, 1, kWide, kChannels, 16, false).source);
  steps.push_back(down);
  StepDesc depthwise = step(Op::kDSDepthwise, "depthwise", {4}, {5});
  depthwise.w = same;
  depthwise.w.in_c = kChannels;
  depthwise.mantissa = 8;
  depthwise.block = 16;
  depthwise.filter = pack_depthwise(Numbers(rnd, 8, 9, 1, kChannels, 1, true).source);
  steps.push_back(depthwise);
  StepDesc mean = step(Op::kMeanHW, "mean", {5}, {6});
  mean.n = 1;
  mean.period = pixels;
  mean.channels = kChannels;
  steps.push_back(mean);
  StepDesc dense = step(Op::kMatMul, "dense", {6}, {7});
  dense.mm.k = kChannels;
  dense.mm.n = kClasses;
  dense.weights.resize(kChannels * kClasses);
  for (auto& v : dense.weights) v = rnd.real(-1, 1);
  steps.push_back(dense);
  return std::make_unique<Plan>(std::move(buffers), std::move(steps), std::vector<int>{0}, std::vector<int>{2, 7}, profile);
}

std::vector<float> input_of(unsigned seed) {
  Random rnd(seed);
  std::vector<float> x(kInput);
  for (auto& v : x) v = rnd.real(-2, 2);
  return x;
}

std::vector<std::vector<float>> run_here(const std::shared_ptr<PlanState>& state, const std::vector<float>& x) {
  std::vector<std::vector<float>> y = {std::vector<float>(size_t(state->plan->output_length(0))), std::vector<float>(size_t(state->plan->output_length(1)))};
  run_now(state, {x.data()}, {y[0].data(), y[1].data()});
  return y;
}

struct Tally {
  std::atomic<int> finished{0}, disposed{0}, wrong{0};
  int total() const { return finished + disposed + wrong; }
};

struct CountedRun : Run {
  Tally* tally = nullptr;
  const std::vector<std::vector<float>>* expected = nullptr;
};

void submit_counted(const std::shared_ptr<PlanState>& state, const std::vector<float>& x, const std::vector<std::vector<float>>& expected, Tally* tally, const void* owner) {
  auto* run = new CountedRun();
  run->plan = state;
  run->owner = owner;
  run->inputs = {x};
  run->tally = tally;
  run->expected = &expected;
  run->done = [](Run* r) {
    std::unique_ptr<CountedRun> c(static_cast<CountedRun*>(r));
    Tally* t = c->tally;
    const bool dropped = c->error_code && !std::strcmp(c->error_code, "DISPOSED");
    const bool right = !c->error_code && c->outputs == *c->expected;
    c->plan.reset();
    (dropped ? t->disposed : right ? t->finished : t->wrong)++;
  };
  submit(run);
}

void wait_for(const Tally& tally, int count) {
  for (int n = 0; tally.total() < count; n++) {
    if (n > 60000) fail_test("%d of %d runs were settled after a minute", tally.total(), count);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (tally.wrong) fail_test("%d runs of a plan gave another result beside others than alone", int(tally.wrong));
}

// Many plans and threads; every run's result is that of the plan alone.
void load(int rounds) {
  const int owner = 0;
  constexpr int kPlans = 4;
  std::vector<std::shared_ptr<PlanState>> plans;
  std::vector<std::vector<float>> xs;
  std::vector<std::vector<std::vector<float>>> expected;
  set_threads(1);
  for (unsigned n = 0; n < kPlans; n++) {
    plans.push_back(std::make_shared<PlanState>(network(n, n == 1)));
    xs.push_back(input_of(100 + n));
    expected.push_back(run_here(plans[n], xs[n]));
  }
  Tally tally;
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  // Numbers of threads change, and runs on calling threads come in between.
  others.emplace_back([&] {
    for (int n = 0; !stop; n++) {
      set_threads(1 + n % 4);
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  });
  others.emplace_back([&] {
    while (!stop) {
      if (run_here(plans[0], xs[0]) != expected[0]) fail_test("a run on the calling thread differs");
    }
  });
  for (int r = 0; r < rounds; r++) {
    for (unsigned n = 0; n < kPlans; n++) submit_counted(plans[n], xs[n], expected[n], &tally, &owner);
  }
  wait_for(tally, rounds * kPlans);
  stop = true;
  for (auto& t : others) t.join();
  if (tally.finished != rounds * kPlans) fail_test("runs were dropped that nobody disposed of");
  set_threads(1);
}

// Disposal at any moment: every run is settled once, with its result or with DISPOSED.
void disposal(int rounds) {
  const int owner = 0;
  Random rnd(3);
  set_threads(3);
  const auto x = input_of(7);
  const auto expected = run_here(std::make_shared<PlanState>(network(7, false)), x);
  for (int r = 0; r < rounds; r++) {
    auto a = std::make_shared<PlanState>(network(7, false)), b = std::make_shared<PlanState>(network(7, false));
    Tally tally, other;
    for (int n = 0; n < 3; n++) submit_counted(a, x, expected, &tally, &owner);
    submit_counted(b, x, expected, &other, &owner);
    std::this_thread::sleep_for(std::chrono::microseconds(rnd.integer(0, 400)));
    dispose_plan(a);
    a.reset();
    b.reset();
    wait_for(tally, 3);
    wait_for(other, 1);
    if (other.finished != 1) fail_test("disposing of one plan dropped a run of another");
  }
  set_threads(1);
}

// An owner that goes away gets its runs back, settled or not, and no call afterwards; another owner's go on.
void owners(int rounds) {
  Random rnd(4);
  const auto x = input_of(7);
  const auto expected = run_here(std::make_shared<PlanState>(network(7, false)), x);
  for (int r = 0; r < rounds; r++) {
    const int leaving = 0, staying = 0;
    auto a = std::make_shared<PlanState>(network(7, false)), b = std::make_shared<PlanState>(network(7, false));
    Tally tally, other;
    for (int n = 0; n < 3; n++) {
      submit_counted(a, x, expected, &tally, &leaving);
      submit_counted(b, x, expected, &other, &staying);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(rnd.integer(0, 400)));
    const auto dropped = cancel(&leaving);
    const int settled = tally.total();
    if (settled + int(dropped.size()) != 3) fail_test("of 3 runs %d were settled and %zu handed back", settled, dropped.size());
    for (Run* run : dropped) delete run;
    wait_for(other, 3);
    if (tally.total() != settled) fail_test("a run was settled after its owner had gone");
  }
}

// The last environment stops the threads; a new one starts them again.
void restarts(int rounds) {
  const int owner = 0;
  const auto x = input_of(7);
  auto plan = std::make_shared<PlanState>(network(7, false));
  const auto expected = run_here(plan, x);
  for (int r = 0; r < rounds; r++) {
    retain_executor();
    set_threads(2);
    Tally tally;
    submit_counted(plan, x, expected, &tally, &owner);
    wait_for(tally, 1);
    release_executor();
  }
  set_threads(1);
}

}  // namespace

void test_plan(int effort) {
  retain_executor();
  load(15 * effort);
  disposal(15 * effort);
  owners(15 * effort);
  release_executor();
  restarts(3 * effort);
}
