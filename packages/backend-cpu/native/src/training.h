// What only training needs.
#pragma once

#include <cstdint>

namespace dsconv {

// dx is dy where rounding x to the BFP grid (NUMERICS §3) is not held back by the clamp, else 0. Rows of `channels`; dx may be dy.
void bfp_gradient(const float* x, const float* dy, float* dx, int64_t pixels, int channels, int groups, int block, int mantissa);

}  // namespace dsconv
