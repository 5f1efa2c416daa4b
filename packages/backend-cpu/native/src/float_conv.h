// Float32 convolution, matrix product and their gradients, all on the same indirect tile.
#pragma once

#include "filter.h"
#include "output.h"
#include "tiling.h"

namespace dsconv {

// Filter of kind kFloat: panels [group][tile][tap][depth][16 * vectors].
void conv2d_rows(const Window& w, const Filter& filter, const float* x, const Tiling* tiling, const Output& out);
// ŵ of a quantized filter as a float filter (weight-only quantization).
std::shared_ptr<Filter> dequantize(const Filter& filter);

// dx [batch, in_h, in_w, in_c] of dy [batch, out_h, out_w, outputs]; w [kh, kw, in_c, outputs].
void conv2d_backprop_input(const Window& w, int outputs, const float* dy, const float* weights, float* dx);
// dw [kh, kw, in_c, outputs].
void conv2d_backprop_filter(const Window& w, int outputs, const float* x, const float* dy, float* dw);
void depthwise_backprop_input(const Window& w, int multiplier, const float* dy, const float* weights, float* dx);
void depthwise_backprop_filter(const Window& w, int multiplier, const float* x, const float* dy, float* dw);

struct MatMul {
  int64_t batch = 1, m = 1, k = 1, n = 1;
  bool transpose_a = false, transpose_b = false;
  int64_t a_stride = 0, b_stride = 0;
};
// The output's channels are n; its rows batch * m.
void matmul(const MatMul& mm, const float* a, const float* b, const Output& out);

}  // namespace dsconv
