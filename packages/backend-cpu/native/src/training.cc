#include "training.h"

#include "common.h"
#include "thread_pool.h"

namespace dsconv {

void bfp_gradient(const float* x, const float* dy, float* dx, int64_t pixels, int channels, int groups, int block, int mantissa) {
  const int depth = channels / groups;
  const int64_t rows = pixels * groups;
  parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      for (int64_t from = row * depth; from < (row + 1) * depth; from += block) {
        const int64_t to = min_of<int64_t>(from + block, (row + 1) * depth);
        uint32_t largest = 0;
        for (int64_t i = from; i < to; i++) largest = max_of(largest, bits_of(x[i]) & 0x7fffffffu);
        const int exponent = int(largest >> 23) - 127;
        // Halves round to the even number, which is beyond the largest mantissa: the clamp begins at (2^(m-1) - 0.5) * 2^(E-(m-2)), in bits of the
        // float (2 - 2^(1-m)) * 2^E. Blocks that count as zero or are not finite have no clamp.
        if (exponent < -100 || exponent == 128) {
          for (int64_t i = from; i < to; i++) dx[i] = dy[i];
          continue;
        }
        const uint32_t clamped = (uint32_t(exponent + 127) << 23) | (((1u << (mantissa - 1)) - 1) << (24 - mantissa));
        for (int64_t i = from; i < to; i++) dx[i] = (bits_of(x[i]) & 0x7fffffffu) >= clamped ? 0.0f : dy[i];
      }
    }
  });
}

}  // namespace dsconv
