// The tiles of dsconv2d for compute capability 9.0 alone, compiled for no other; src/dsconv/tiles.ts has the same table.
#define KERNEL_CAPABILITY 90
#include "kernel.h"
#include "params/dsconv.h"
#include "dsconv_wgmma.cuh"

/** `blocks` is `resident` in that table. */
#define DSCONV_KERNEL(name, Tile, blocks)                            \
  KERNEL(name, DsconvParams, DSCONV_BOUNDS(Tile::threads, blocks)) { \
    DYN_SMEM(unsigned char, shared);                                 \
    dsconv2d_wgmma_tile<Tile>(p, shared);                            \
  }

using Wgmma128x128b64 = WgmmaTile<128, 2, 6>;
using Wgmma128x128b128 = WgmmaTile<128, 4, 6>;
using Wgmma128x64b64 = WgmmaTile<64, 2, 4>;
using Wgmma128x64b128 = WgmmaTile<64, 4, 4>;

DSCONV_KERNEL(dsconv2d_wgmma_128x128_b64, Wgmma128x128b64, 1)
DSCONV_KERNEL(dsconv2d_wgmma_128x128_b128, Wgmma128x128b128, 1)
DSCONV_KERNEL(dsconv2d_wgmma_128x64_b64, Wgmma128x64b64, 2)
DSCONV_KERNEL(dsconv2d_wgmma_128x64_b128, Wgmma128x64b128, 2)
