// A network as a flat list of steps over numbered buffers, with all memory laid out in advance. Node is not needed here; addon_plan.cc makes
// descriptions from JavaScript objects and executor.cc runs plans on a thread of their own.
#pragma once

#include <functional>
#include <vector>

#include "dsconv2d.h"
#include "filter.h"
#include "float_conv.h"
#include "image.h"
#include "output.h"

namespace dsconv {

struct BufferDesc {
  bool is_image = false;
  int64_t length = 0;  // f32: elements
  ImageSpec spec;      // image
  int64_t pixels = 0;
};

enum class Op { kDSConv2d, kDSDepthwise, kConv2d, kDepthwise, kConvert, kMaxPool, kAvgPool, kMeanHW, kMatMul, kBinary, kUnary, kScaleShift, kSoftmax, kConcat, kPad };

// The union of what steps need; names as in interface.d.ts.
struct StepDesc {
  Op op = Op::kConvert;
  std::string name;  // for messages
  std::vector<int> inputs, outputs;
  int residual = -1;
  Window w;
  std::shared_ptr<Filter> filter;
  std::vector<float> weights, bias, alphas, scale, shift;  // copied constants
  int activation = kLinear, code = 0, mantissa = 0, block = 1, multiplier = 1;
  float alpha = 0, value = 0;
  Partition format;
  MatMul mm;
  int64_t n = 0, period = 0, pixels = 0;
  int channels = 0;
  std::vector<int> part_channels;
};

class Plan {
 public:
  // Throws Failure where anything does not fit.
  Plan(std::vector<BufferDesc> buffers, std::vector<StepDesc> steps, std::vector<int> inputs, std::vector<int> outputs, bool profile);

  size_t step_count() const { return runs_.size(); }
  int64_t input_length(size_t n) const { return buffers_[inputs_[n]].length; }
  int64_t output_length(size_t n) const { return buffers_[outputs_[n]].length; }
  size_t input_count() const { return inputs_.size(); }
  size_t output_count() const { return outputs_.size(); }
  size_t arena_bytes() const { return arena_.bytes(); }
  size_t live_bytes() const { return live_bytes_; }
  const std::vector<double>* profile() const { return profile_ ? &micros_ : nullptr; }

  // One run: bind the inputs (they must stay until the last step), do the steps in order, fetch the outputs. Not for two threads at once.
  void bind(const std::vector<const float*>& inputs);
  void step(size_t n);
  const float* output(size_t n) const { return f32(outputs_[n]); }

 private:
  struct Slot {
    int first = -2, last = -2;  // steps; -1: before the first
    size_t bytes = 0, offset = 0;
    const float* bound = nullptr;  // inputs
  };
  void check_step(StepDesc& s, size_t index);
  std::function<void()> compile(const std::shared_ptr<StepDesc>& s, int hidden);
  void touch(int buffer, int step, bool write, const std::string& name);
  void lay_out();
  void fuse_stem_pools();
  int add_hidden(const ImageSpec& spec, int64_t pixels);
  void expect_f32(int buffer, int64_t length, const StepDesc& s, const char* what) const;
  void check_sinks(const StepDesc& s, int64_t pixels, int channels) const;
  Output epilogue_of(const StepDesc& s, int channels);  // without sinks
  Output output_of(const StepDesc& s, int channels);
  void settle(const StepDesc& s);
  float* f32(int b) const { return slots_[b].bound ? const_cast<float*>(slots_[b].bound) : reinterpret_cast<float*>(arena_.data() + slots_[b].offset); }
  bool is_image(int b) const { return buffers_[b].is_image; }

  std::vector<BufferDesc> buffers_;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<Image>> images_;  // by buffer
  std::vector<std::unique_ptr<std::atomic<bool>>> huge_;
  std::vector<std::shared_ptr<StepDesc>> steps_;
  std::vector<std::function<void()>> runs_;
  std::vector<Upcoming> next_weights_;  // by step
  std::vector<int> inputs_, outputs_;
  Buffer arena_;
  size_t live_bytes_ = 0;
  bool profile_;
  std::vector<double> micros_;
};

}  // namespace dsconv
