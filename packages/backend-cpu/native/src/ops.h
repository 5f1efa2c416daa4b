// Everything between the convolutions: pools, element-wise functions, softmax, concatenation, padding, changes of format.
#pragma once

#include <vector>

#include "output.h"

namespace dsconv {

enum Binary : int { kAdd = 0, kSub = 1, kMul = 2, kReverseSub = 3, kMaximum = 4, kMinimum = 5, kDivide = 6, kBinaryCount = 7 };
constexpr int kUnaryCount = 14;  // Activation

// Window over w.in_c channels; the output has as many.
void max_pool(const Window& w, const float* x, const Output& out);
void avg_pool(const Window& w, const float* x, const Output& out);
// Mean over hw pixels of f32 or of an image.
void mean_hw(const float* x, const Image* image, int64_t batch, int64_t hw, int channels, const Output& out);

// y[i] = a[i] op b[i % period]; y may be a, or b where period is n.
void binary(int op, const float* a, const float* b, float* y, int64_t n, int64_t period);
void unary(int op, const float* x, float* y, int64_t n, float alpha, const float* alphas, int64_t period);
void scale_shift(const float* x, const float* scale, const float* shift, float* y, int64_t n, int channels);
void softmax(const float* x, float* y, int64_t rows, int channels);

// x̂ of an image as f32 rows through an output.
void decode_rows(const Image& image, const Output& out);

struct ConcatPart {
  const float* x = nullptr;
  const Image* image = nullptr;
  int channels = 0;
};
void concat(const std::vector<ConcatPart>& parts, int64_t pixels, const Output& out);
// Window: in_h, in_w to out_h, out_w with pad_top, pad_left in front.
void pad(const Window& w, const float* x, float value, const Output& out);

}  // namespace dsconv
