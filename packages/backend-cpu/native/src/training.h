// What training needs most beside convolutions: sums, boxes, gradients of pools and of the rounding of activations.
#pragma once

#include <cstdint>

#include "common.h"

namespace dsconv {

// dx is dy where rounding x to the BFP grid (NUMERICS §3) is not held back by the clamp, else 0. Rows of `channels`; dx may be dy.
void bfp_gradient(const float* x, const float* dy, float* dx, int64_t pixels, int channels, int groups, int block, int mantissa);

// y[o][i] = sum over m of x[o][m][i]; x is [outer][middle][inner]. Pieces of fixed size are added up one after the other, so that results do not depend on
// the number of threads.
void sum_middle(const float* x, float* y, int64_t outer, int64_t middle, int64_t inner);

constexpr int kMaxRank = 6;

// A box of `size` out of x, at x_from, to y, at y_from; both are row-major of the same rank.
struct Box {
  int rank = 1;
  int64_t size[kMaxRank], x_shape[kMaxRank], y_shape[kMaxRank], x_from[kMaxRank], y_from[kMaxRank];
};
void copy_box(const Box& box, const float* x, float* y);

// Windows over w.in_c channels as in max_pool and avg_pool. The first of equal maxima has the gradient.
void max_pool_gradient(const Window& w, const float* x, const float* dy, float* dx);
void avg_pool_gradient(const Window& w, const float* dy, float* dx);

}  // namespace dsconv
