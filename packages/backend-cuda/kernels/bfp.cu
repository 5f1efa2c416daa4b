// Rounding of rows of channels to block floating point. Some lanes of a warp share a block, so that a warp reads neighbouring numbers.
#include "kernel.h"
#include "params/bfp.h"
#include "dsconv_numbers.cuh"

/** The block that this thread shares. */
struct BfpBlock {
  /** First element of x, channels, the block's number, this thread's lane. */
  size_t first, number;
  int count, lane;
  /** Number of the block within its group. */
  int within;
  size_t groupNumber;
  bool exists, quads;
};

template <class P>
__device__ __forceinline__ BfpBlock block_of(const P& p) {
  const size_t thread = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int depth = p.channels / p.groups;
  const int blocks = (depth + p.blockSize - 1) / p.blockSize;
  BfpBlock block;
  block.lane = static_cast<int>(threadIdx.x) % p.lanes;
  block.number = thread / p.lanes;
  block.groupNumber = block.number / blocks;
  block.exists = block.groupNumber < static_cast<size_t>(p.rows) * p.groups;
  block.within = static_cast<int>(block.number - block.groupNumber * blocks);
  const int start = block.within * p.blockSize;
  block.count = min(p.blockSize, depth - start);
  // Groups lie one after the other in a row, and rows too.
  block.first = block.groupNumber * depth + start;
  block.quads = depth % 4 == 0 && p.blockSize % 4 == 0;
  return block;
}

/** Four channels from `at` on; 0 beyond the block. */
__device__ __forceinline__ void load_quad(const float* x, const BfpBlock& block, int at, float (&v)[4]) {
  if (block.quads && at < block.count) {
    const float4 quad = *reinterpret_cast<const float4*>(x + block.first + at);
    v[0] = quad.x, v[1] = quad.y, v[2] = quad.z, v[3] = quad.w;
  } else {
    for (int n = 0; n < 4; n++) v[n] = at + n < block.count ? x[block.first + at + n] : 0.0f;
  }
}

__device__ __forceinline__ void store_quad(float* y, const BfpBlock& block, int at, const float (&v)[4]) {
  if (at >= block.count) return;
  if (block.quads) {
    *reinterpret_cast<float4*>(y + block.first + at) = make_float4(v[0], v[1], v[2], v[3]);
  } else {
    for (int n = 0; n < 4; n++) {
      if (at + n < block.count) y[block.first + at + n] = v[n];
    }
  }
}

/** The block's grid, and this lane's first quad, which most blocks have no more of. Called by whole warps. */
template <class P>
__device__ __forceinline__ BfpGrid find_grid(const P& p, const BfpBlock& block, float (&v)[4]) {
  unsigned peak = 0;
  if (block.exists) {
    load_quad(p.x, block, 4 * block.lane, v);
    for (int n = 0; n < 4; n++) peak = max(peak, magnitude_bits(v[n]));
    for (int at = 4 * (block.lane + p.lanes); at < block.count; at += 4 * p.lanes) {
      float more[4];
      load_quad(p.x, block, at, more);
      for (int n = 0; n < 4; n++) peak = max(peak, magnitude_bits(more[n]));
    }
  }
#ifdef MUTATION_15  // half of the lanes are not asked
  for (int by = 1; by < p.lanes / 2; by *= 2) peak = max(peak, __shfl_xor_sync(~0u, peak, by));
#else
  for (int by = 1; by < p.lanes; by *= 2) peak = max(peak, __shfl_xor_sync(~0u, peak, by));
#endif
  return grid_of(peak, p.bits);
}

/** Calls `use(at, values)` for all quads of this lane up to `end` channels. */
template <class P, class Use>
__device__ __forceinline__ void for_quads(const P& p, const BfpBlock& block, const float (&first)[4], int end, Use use) {
  float v[4] = {first[0], first[1], first[2], first[3]};
  for (int at = 4 * block.lane; at < end; at += 4 * p.lanes) {
    if (at != 4 * block.lane) load_quad(p.x, block, at, v);
    use(at, v);
  }
}

KERNEL(bfp_quantize, BfpQuantizeParams, 256) {
  const BfpBlock block = block_of(p);
  float v[4];
  const BfpGrid grid = find_grid(p, block, v);
  if (!block.exists) return;
  const int depth = p.channels / p.groups;
  const int blocks = (depth + p.blockSize - 1) / p.blockSize;
  const int blockBytes = (p.blockSize + 31) / 32 * 32;
  const int groupBytes = (blocks - 1) * blockBytes + (depth - (blocks - 1) * p.blockSize + 31) / 32 * 32;
  int8_t* to = p.mantissas + block.groupNumber * groupBytes + block.within * blockBytes;
  for_quads(p, block, v, (block.count + 31) / 32 * 32, [&](int at, const float (&x)[4]) {
    int m[4];
    for (int n = 0; n < 4; n++) m[n] = mantissa_of(x[n], grid, p.bits);
    *reinterpret_cast<unsigned*>(to + at) = pack_bytes(m[0], m[1], m[2], m[3]);
  });
  if (block.lane == 0) p.scales[block.number] = grid.scale * SCALE_STORED;
}

KERNEL(bfp_round, BfpRoundParams, 256) {
  const BfpBlock block = block_of(p);
  float v[4];
  const BfpGrid grid = find_grid(p, block, v);
  if (!block.exists) return;
  for_quads(p, block, v, block.count, [&](int at, const float (&x)[4]) {
    float y[4];
    for (int n = 0; n < 4; n++) y[n] = static_cast<float>(mantissa_of(x[n], grid, p.bits)) * grid.scale;
    store_quad(p.y, block, at, y);
  });
}

KERNEL(bfp_gradient, BfpGradientParams, 256) {
  const BfpBlock block = block_of(p);
  float v[4];
  const BfpGrid grid = find_grid(p, block, v);
  if (!block.exists) return;
  // Halves round to the even number, which is beyond the clamp. Without a scale nothing is clamped; NaN compares as false.
  const float clampedFrom = (static_cast<float>(1 << (p.bits - 1)) - 0.5f) * grid.scale;
  for_quads(p, block, v, block.count, [&](int at, const float (&x)[4]) {
    float dy[4];
    load_quad(p.dy, block, at, dy);
    for (int n = 0; n < 4; n++) {
      if (clampedFrom > 0.0f && fabsf(x[n]) >= clampedFrom) dy[n] = 0.0f;
    }
    store_quad(p.dx, block, at, dy);
  });
}
