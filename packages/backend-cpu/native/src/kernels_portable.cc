// The portable set: plain C++, no instruction set assumed.
#include "kernels_vector.h"

namespace dsconv {

const Kernels* kernels_portable() {
  static const Kernels set = {
      "portable",
      {dsconv2d_tile_scalar<2>, dsconv2d_tile_scalar<4>, dsconv2d_tile_scalar<8>},
      epilogue_scalar, quantize_scalar, nullptr, nullptr, decode_scalar,
      stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
  };
  return &set;
}

}  // namespace dsconv
