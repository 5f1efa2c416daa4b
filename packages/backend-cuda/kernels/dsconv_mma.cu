// The tiles of dsconv2d on tensor cores; src/dsconv/tiles.ts has the same table and chooses among them.
#include "kernel.h"
#include "params/dsconv.h"
#include "dsconv_mma.cuh"

/** `blocks` is `resident` in that table. */
#define DSCONV_KERNEL(name, Tile, blocks, converts, shifted)             \
  KERNEL(name, DsconvParams, DSCONV_BOUNDS(Tile::threads, blocks)) {     \
    DYN_SMEM(unsigned char, shared);                                     \
    dsconv2d_tile<Tile, converts, shifted>(p, shared);                   \
  }

// Filters whose blocks are all of 32, 64 or 128 channels, and any others.
using Tile128x128b64 = MmaTile<128, 128, 2, 4, 2, 2, 4>;
using Tile128x128b128 = MmaTile<128, 128, 2, 4, 4, 4, 3>;
using Tile128x128 = MmaTile<128, 128, 2, 4, 0, 2, 4>;
using Tile128x64b32 = MmaTile<128, 64, 2, 2, 1, 2, 4>;
using Tile128x64b64 = MmaTile<128, 64, 2, 2, 2, 2, 4>;
using Tile64x64b64 = MmaTile<64, 64, 2, 2, 2, 2, 4>;
using Tile64x64b128 = MmaTile<64, 64, 2, 2, 4, 4, 3>;
using Tile64x64 = MmaTile<64, 64, 2, 2, 0, 2, 4>;
using Tile64x32 = MmaTile<64, 32, 2, 2, 0, 2, 4>;

DSCONV_KERNEL(dsconv2d_128x128_b64, Tile128x128b64, 1, false, false)
DSCONV_KERNEL(dsconv2d_128x128_b128, Tile128x128b128, 1, false, false)
DSCONV_KERNEL(dsconv2d_128x128, Tile128x128, 1, false, false)
DSCONV_KERNEL(dsconv2d_128x64_b32, Tile128x64b32, 2, false, false)
DSCONV_KERNEL(dsconv2d_128x64_b64, Tile128x64b64, 2, false, false)
DSCONV_KERNEL(dsconv2d_64x64_b64, Tile64x64b64, 3, false, false)
DSCONV_KERNEL(dsconv2d_64x64_b128, Tile64x64b128, 3, false, false)
DSCONV_KERNEL(dsconv2d_64x64, Tile64x64, 3, false, false)
DSCONV_KERNEL(dsconv2d_64x32, Tile64x32, 4, false, false)
// Blocks whose sums may reach 2^22, and filters with shifters, which are rare, have one tile.
DSCONV_KERNEL(dsconv2d_converting, Tile64x64, 3, true, false)
DSCONV_KERNEL(dsconv2d_shifted, Tile64x64, 3, true, true)

/** Adds the parts of the depth, in their order, and finishes 32 pixels by 64 channels of a group. */
KERNEL(dsconv2d_finish, DsconvParams, DSCONV_BOUNDS(256, 3)) {
  constexpr int rows = 32, columns = 64, stride = columns + 4;
  __shared__ float tile[rows * stride];
  const int tiles = (p.groupOutputs + columns - 1) / columns;
  const int group = static_cast<int>(blockIdx.y) / tiles;
  const int first = (static_cast<int>(blockIdx.y) - group * tiles) * columns;
  const int firstPixel = static_cast<int>(blockIdx.x) * rows;
  const size_t width = static_cast<size_t>(p.groups) * p.paddedOutputs;
  for (int at = threadIdx.x; at < rows * columns / 4; at += blockDim.x) {
    const int row = at / (columns / 4), column = at % (columns / 4) * 4;
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (firstPixel + row < p.pixels && first + column < p.paddedOutputs) {
      const float* from = p.partial + (firstPixel + row) * width + static_cast<size_t>(group) * p.paddedOutputs + first + column;
#ifdef MUTATION_11  // the last part is forgotten
      const int splits = p.splits - 1;
#else
      const int splits = p.splits;
#endif
      for (int split = 0; split < splits; split++) {
        const float4 part = *reinterpret_cast<const float4*>(from + split * width * p.pixels);
        sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
      }
    }
    *reinterpret_cast<float4*>(tile + row * stride + column) = sum;
  }
  __syncthreads();
  write_tile<columns>(p, tile, stride, rows, group, first, [&](int row) { return firstPixel + row < p.pixels ? firstPixel + row : -1; });
}
