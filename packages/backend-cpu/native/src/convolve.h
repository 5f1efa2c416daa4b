// One quantized convolution from float32 to an Output: what the eager entry points and f32 inputs of plans call.
#pragma once

#include "depthwise.h"
#include "dsconv2d.h"
#include "float_conv.h"

namespace dsconv {

// Filters of any quantized kind. mantissa 0: float activations. depthwise_block: activation blocks of a depthwise filter. Begins the output.
void convolve(const Window& w, const Filter& filter, int depthwise_block, const float* x, int mantissa, const Output& out);

}  // namespace dsconv
