// Drivers of the quantized convolutions: image in, rows out.
#pragma once

#include "filter.h"
#include "output.h"
#include "tiling.h"

namespace dsconv {

// Memory that the next step will want: brought into the second-level cache along the way.
struct Upcoming {
  const uint8_t* data = nullptr;
  size_t bytes = 0;
};

// Blocked filters. `tiling` null for a pointwise convolution (Window::is_pointwise). Input settled, output begun.
void dsconv2d_blocked(const Window& w, const Filter& filter, const Image& input, const Tiling* tiling, const Output& out, Upcoming upcoming = {});

// Stem filters (depth below 16, scales per channel): float products of exact integers. x is f32; mantissa 0: float activations.
void dsconv2d_stem(const Window& w, const Filter& filter, const float* x, int mantissa, const Output& out);

// The same with a max pool behind it, `stem_out` having the epilogue alone: rows between the two never leave the cache. out is the pool's.
void dsconv2d_stem_max_pool(const Window& w, const Filter& filter, const float* x, int mantissa, const Output& stem_out, const Window& pool, const Output& out);

// f32 rows to an image; begins it, and settles it at the end.
void quantize_image(const float* x, Image* image);
// x̂ of f32 rows, y may be x.
void round_rows(const float* x, float* y, int64_t pixels, int channels, int groups, int block, int mantissa);

}  // namespace dsconv
