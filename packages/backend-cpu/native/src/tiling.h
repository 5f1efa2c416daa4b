// Which output pixels share a tile, which taps the tile visits, and which input pixel each tap reads: the indirection of a convolution.
//
// Pixels are grouped by the set of taps that fall inside the image, so that a tile of border pixels skips the taps that see only padding: a
// 3×3 convolution of a 7×7 map does 16 % less work so, of a 14×14 map 8 %. The order of the visited taps stays that of the filter.
// One tiling serves every batch entry and every convolution of the same geometry.
#pragma once

#include <vector>

#include "common.h"

namespace dsconv {

struct Tiling {
  int tiles = 0;
  std::vector<int32_t> pixels;     // [tiles][6] output pixels of one batch entry, the first `counts` are used
  std::vector<uint8_t> counts;     // [tiles]
  std::vector<uint32_t> first;     // [tiles + 1] first visited tap of a tile
  std::vector<uint16_t> taps;      // visited taps
  std::vector<int32_t> index;      // [visited taps][6] input pixel of the batch entry, or -1
};

// From a small cache keyed by the geometry.
// `transposed`: the gradient for the input. Pixels are those of the input, index those of the output whose window tap reaches the pixel.
std::shared_ptr<const Tiling> tiling_of(const Window& window, bool transposed = false);

}  // namespace dsconv
