// Depthwise convolutions, quantized and float.
#pragma once

#include "filter.h"
#include "output.h"

namespace dsconv {

struct DepthwiseSource {
  const float* x = nullptr;         // f32 input, rounded to `mantissa` bits in blocks of `block` channels (0: not at all), or
  const Image* image = nullptr;     // an image
  int mantissa = 0, block = 1, multiplier = 1;
  const Filter* filter = nullptr;   // quantized weights (scales are the output's), or
  const float* w = nullptr;         // f32 [taps][C * multiplier]
};

void depthwise_rows(const Window& w, const DepthwiseSource& source, const Output& out);

}  // namespace dsconv
