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

// Weights [taps][padded] as floats, with zeros beyond the channels.
Buffer float_weights(const DepthwiseSource& s, int taps, int channels, int padded);

// From an image to one, where the instruction set has kernels that finish what they compute (kernels.h, FusedArgs). False: it does not apply.
bool depthwise_fused(const Window& w, const DepthwiseSource& source, const Output& out);

void depthwise_rows(const Window& w, const DepthwiseSource& source, const Output& out);

}  // namespace dsconv
