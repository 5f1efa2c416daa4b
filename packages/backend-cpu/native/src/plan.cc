#include "plan.h"

#include <algorithm>
#include <chrono>

namespace dsconv {
namespace {

constexpr int64_t kLargestBuffer = int64_t{1} << 34;
constexpr int64_t kLargestArena = int64_t{1} << 36;

}  // namespace

Plan::Plan(std::vector<BufferDesc> buffers, std::vector<StepDesc> steps, std::vector<int> inputs, std::vector<int> outputs, bool profile)
    : buffers_(std::move(buffers)), inputs_(std::move(inputs)), outputs_(std::move(outputs)), profile_(profile) {
  slots_.resize(buffers_.size());
  for (size_t b = 0; b < buffers_.size(); b++) {
    const BufferDesc& d = buffers_[b];
    const std::string name = "buffer " + std::to_string(b);
    if (!d.is_image) {
      if (d.length < 0 || d.length > kLargestBuffer / 4) fail_range(name + " has a length of " + std::to_string(d.length));
      slots_[b].bytes = size_t(d.length) * sizeof(float);
      continue;
    }
    const ImageSpec& s = d.spec;
    if (s.channels < 1 || s.channels > (1 << 24) || s.groups < 1 || s.channels % s.groups || s.block < 1 || s.mantissa < 2 || s.mantissa > 8 ||
        (s.storage != 2 && s.storage != 4 && s.storage != 8) || d.pixels < 0 || d.pixels > kLargestBuffer / s.channels) {
      fail_range(name + " is no possible BFP image");
    }
    buffers_[b].spec.block = min_of(s.block, s.depth());
    slots_[b].bytes = buffers_[b].spec.bytes(d.pixels);
  }
  const auto known = [&](int b, const std::string& what) {
    if (b < 0 || b >= int(buffers_.size())) fail_range(what + " names buffer " + std::to_string(b) + " of " + std::to_string(buffers_.size()));
  };
  for (int b : inputs_) {
    known(b, "inputs");
    if (is_image(b)) fail_argument("input buffer " + std::to_string(b) + " is not f32");
    touch(b, -1, true, "inputs");
  }
  for (size_t n = 0; n < steps.size(); n++) {
    auto s = std::make_shared<StepDesc>(std::move(steps[n]));
    for (float& b : s->bias) b += 0.0f;  // kernels rely on there being no -0
    s->name = "step " + std::to_string(n) + " (" + s->name + ")";
    for (int b : s->inputs) known(b, s->name);
    for (int b : s->outputs) known(b, s->name);
    if (s->residual >= 0) known(s->residual, s->name);
    if (s->outputs.empty() || s->outputs.size() > kMaxSinks) fail_range(s->name + " has " + std::to_string(s->outputs.size()) + " outputs; expected 1 to 4");
    check_step(*s, n);
    for (int b : s->inputs) touch(b, int(n), false, s->name);
    if (s->residual >= 0) touch(s->residual, int(n), false, s->name);
    for (int b : s->outputs) touch(b, int(n), true, s->name);
    int hidden = -1;
    if (s->op == Op::kDSConv2d && s->filter->kind == Filter::kBlocked && !is_image(s->inputs[0]) && s->mantissa) {
      hidden = add_hidden(s->filter->image_spec(s->mantissa), s->w.in_pixels());
      touch(hidden, int(n), true, s->name);
    }
    steps_.push_back(s);
    runs_.push_back(compile(s, hidden));
  }
  for (int b : outputs_) {
    known(b, "outputs");
    if (is_image(b)) fail_argument("output buffer " + std::to_string(b) + " is not f32");
    touch(b, int(runs_.size()), false, "outputs");
  }
  fuse_stem_pools();
  // Every convolution brings the weights of the next one into the second-level cache while it computes.
  const StepDesc* next = nullptr;
  for (size_t n = steps_.size(); n-- > 0;) {
    if (next) next_weights_.push_back({next->filter->weights.data(), next->filter->weights.bytes()});
    else next_weights_.push_back({nullptr, 0});
    if (steps_[n]->op == Op::kDSConv2d && steps_[n]->filter->kind == Filter::kBlocked) next = steps_[n].get();
  }
  std::reverse(next_weights_.begin(), next_weights_.end());
  micros_.assign(runs_.size(), 0);
  lay_out();
}

int Plan::add_hidden(const ImageSpec& spec, int64_t pixels) {
  BufferDesc d;
  d.is_image = true;
  d.spec = spec;
  d.pixels = pixels;
  buffers_.push_back(d);
  Slot slot;
  slot.bytes = spec.bytes(pixels);
  slots_.push_back(slot);
  return int(buffers_.size()) - 1;
}

void Plan::touch(int b, int step, bool write, const std::string& name) {
  Slot& s = slots_[b];
  if (write) {
    if (s.first != -2) fail_argument(name + " writes buffer " + std::to_string(b) + ", which was written before");
    s.first = step;
  } else if (s.first == -2) {
    fail_argument(name + " reads buffer " + std::to_string(b) + " before anything wrote it");
  }
  s.last = max_of(s.last, step);
}

// Largest buffers first, each at the lowest place that is free over its life.
void Plan::lay_out() {
  std::vector<int> order;
  for (int b = 0; b < int(slots_.size()); b++) {
    if (slots_[b].first >= 0) order.push_back(b);
  }
  const auto size_of = [&](int b) { return round_up<size_t>(slots_[b].bytes + kSlack, 64); };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return slots_[a].bytes > slots_[b].bytes; });
  std::vector<int> placed;
  size_t total = 0;
  for (int b : order) {
    std::vector<std::pair<size_t, size_t>> taken;
    for (int o : placed) {
      if (slots_[o].first <= slots_[b].last && slots_[b].first <= slots_[o].last) taken.emplace_back(slots_[o].offset, slots_[o].offset + size_of(o));
    }
    std::sort(taken.begin(), taken.end());
    // Best fit: the smallest hole that is large enough.
    size_t at = 0, best = SIZE_MAX, best_hole = SIZE_MAX;
    for (const auto& t : taken) {
      if (t.first >= at + size_of(b) && t.first - at < best_hole) {
        best = at;
        best_hole = t.first - at;
      }
      at = max_of(at, t.second);
    }
    slots_[b].offset = best == SIZE_MAX ? at : best;
    total = max_of(total, slots_[b].offset + size_of(b));
    placed.push_back(b);
  }
  if (total > size_t(kLargestArena)) fail_range("the plan's activations take " + std::to_string(total) + " bytes");
  for (int step = 0; step < int(runs_.size()); step++) {
    size_t live = 0;
    for (const Slot& s : slots_) {
      if (s.first >= 0 && s.first <= step && step <= s.last) live += s.bytes;
    }
    live_bytes_ = max_of(live_bytes_, live);
  }
  arena_.allocate(max_of<size_t>(total, 64));
  images_.resize(buffers_.size());
  for (size_t b = 0; b < buffers_.size(); b++) {
    if (!is_image(int(b)) || slots_[b].first < 0) continue;
    huge_.push_back(std::make_unique<std::atomic<bool>>(false));
    images_[b] = std::make_unique<Image>(Image::at(arena_.data() + slots_[b].offset, buffers_[b].spec, buffers_[b].pixels, huge_.back().get()));
  }
}

void Plan::bind(const std::vector<const float*>& inputs) {
  for (size_t n = 0; n < inputs_.size(); n++) slots_[inputs_[n]].bound = inputs[n];
}

void Plan::step(size_t n) {
  if (!runs_[n]) return;  // computed along with the next step
  if (!profile_) return runs_[n]();
  const auto begin = std::chrono::steady_clock::now();
  runs_[n]();
  // What was computed along with the step behind it has all of the time.
  const size_t at = n > 0 && !runs_[n - 1] ? n - 1 : n;
  micros_[n] = 0;
  micros_[at] = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace dsconv
