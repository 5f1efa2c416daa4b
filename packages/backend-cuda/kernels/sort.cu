// The largest of each row.
#include <string.h>
#include "kernel.h"
#include "params/elementwise.h"
#include "params/sort.h"

namespace {

/** A key that is larger for larger values, and among equals for lower indices; no key is 0. */
__device__ inline uint64_t key_of(const TopKParams& p, size_t start, int index) {
  uint32_t order;
  if (p.type == FLOAT32) {
    float value = static_cast<const float*>(p.x)[start + index];
    if (value == 0) value = 0;  // -0 is no less than 0.
    memcpy(&order, &value, 4);
    order = value != value ? 0xffffffffu : order >> 31 ? ~order : order | 0x80000000u;
  } else if (p.type == INT32) {
    order = static_cast<uint32_t>(static_cast<const int*>(p.x)[start + index]) ^ 0x80000000u;
  } else {
    order = static_cast<const uint8_t*>(p.x)[start + index];
  }
  return static_cast<uint64_t>(order) << 32 | (0xffffffffu - static_cast<uint32_t>(index));
}

/** Bitonic sort, the largest first. */
__device__ inline void sort_keys(uint64_t* keys, int count) {
  for (int size = 2; size <= count; size *= 2) {
    for (int distance = size / 2; distance > 0; distance /= 2) {
      __syncthreads();
      for (int n = threadIdx.x; n < count / 2; n += blockDim.x) {
        const int low = n / distance * 2 * distance + n % distance, high = low + distance;
        const bool falling = (low & size) == 0;
        const uint64_t a = keys[low], b = keys[high];
        if ((a < b) == falling) keys[low] = b, keys[high] = a;
      }
    }
  }
  __syncthreads();
}

}  // namespace

/** A block for each row. Where it does not fit, pieces of it are sorted together with the best so far. */
KERNEL(top_k, TopKParams, 256) {
  DYN_SMEM(uint64_t, keys);
  for (int row = blockIdx.x; row < p.rows; row += gridDim.x) {
    const size_t start = static_cast<size_t>(row) * p.length;
    for (int n = threadIdx.x; n < p.capacity; n += blockDim.x) keys[n] = n < p.length ? key_of(p, start, n) : 0;
    sort_keys(keys, p.capacity);
    const int half = p.capacity / 2;
    for (int next = p.capacity; next < p.length; next += half) {
      const uint64_t least = keys[p.k - 1];
      __syncthreads();
      int beaten = 0;
      for (int n = threadIdx.x; n < half; n += blockDim.x) {
        const uint64_t key = p.length - next > n ? key_of(p, start, next + n) : 0;
        keys[half + n] = key;
        beaten |= key > least;
      }
      // Of most pieces of a long row nothing is among the best.
      if (__syncthreads_or(beaten)) sort_keys(keys, p.capacity);
    }
    for (int n = threadIdx.x; n < p.k; n += blockDim.x) {
      const int index = static_cast<int>(0xffffffffu - static_cast<uint32_t>(keys[n]));
      const size_t at = static_cast<size_t>(row) * p.k + n;
      p.indices[at] = index;
      if (p.type == BOOL) static_cast<uint8_t*>(p.values)[at] = static_cast<const uint8_t*>(p.x)[start + index];
      else static_cast<uint32_t*>(p.values)[at] = static_cast<const uint32_t*>(p.x)[start + index];
    }
    __syncthreads();
  }
}
