// A ring of input rows in a form of their own (x̂ as floats or bfloat16), with the horizontal padding as zeros, filled on demand: what the stem and
// depthwise drivers read. One ring per thread and call.
#pragma once

#include <vector>

#include "image.h"
#include "kernels.h"
#include "thread_pool.h"

namespace dsconv {

struct RowSource {
  const Window* w;
  const float* x = nullptr;      // f32 input, or
  const Image* image = nullptr;  // an image
  int mantissa = 0;              // rounds x; 0: as it is
  int block = 1, groups = 1;
  int multiplier = 1;            // each channel so many times
  int padded = 1;                // elements a pixel in the ring
  bool bf16 = false;
};

class RowRing {
 public:
  RowRing(const RowSource& source, int slot) : s_(source) {
    const Window& w = *s_.w;
    span_ = (w.kh - 1) * w.dilation_h + 1;
    width_ = (w.out_w - 1) * w.stride_w + (w.kw - 1) * w.dilation_w + 1;
    row_ = round_up<size_t>(size_t(width_) * s_.padded + 64, 64);
    size_ = s_.bf16 ? 2 : 4;
    memory_ = static_cast<uint8_t*>(thread_scratch(slot, span_ * row_ * size_ + size_t(w.in_w) * w.in_c * sizeof(float) + 256));
    plain_ = reinterpret_cast<float*>(memory_ + span_ * row_ * size_);
    held_.assign(span_, -1);
  }
  size_t element() const { return size_; }
  // Input row y (inside the image) of batch entry n, element 0 being the pixel at x = -pad_left.
  const uint8_t* row(int n, int y) {
    const int64_t id = int64_t{n} * s_.w->in_h + y;
    const int slot = int(id % span_);
    uint8_t* at = memory_ + slot * row_ * size_;
    if (held_[slot] != id) {
      fill(at, id);
      held_[slot] = id;
    }
    return at;
  }

 private:
  void fill(uint8_t* at, int64_t id);
  void round(int64_t id, int begin, int count, float* to);

  RowSource s_;
  int span_, width_;
  size_t row_, size_;
  uint8_t* memory_;
  float* plain_;  // one row before it is spread
  std::vector<int64_t> held_;
};

}  // namespace dsconv
