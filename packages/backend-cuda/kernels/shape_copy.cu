// Moves elements: strided copies, transposed matrices, borders. Units of 1, 4 or 16 bytes.
#include "kernel.h"
#include "elementwise.cuh"
#include "params/shape.h"

namespace {

template <class Unit>
__device__ inline void copy_strided(const CopyStridedParams& p) {
  const unsigned step = gridDim.x * blockDim.x;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned>(p.count); i += step) {
    unsigned n = i;
    // Strides may be negative, and offsets pass 2^31.
    long long x = 0, y = 0;
    for (int axis = p.rank - 1; axis > 0; axis--) {
      const unsigned rest = divide(n, p.multiplier[axis], p.shift[axis]), index = n - rest * p.size[axis];
      x += static_cast<long long>(index) * p.xStride[axis];
      y += static_cast<long long>(index) * p.yStride[axis];
      n = rest;
    }
    x += static_cast<long long>(n) * p.xStride[0];
    y += static_cast<long long>(n) * p.yStride[0];
    static_cast<Unit*>(p.y)[y] = static_cast<const Unit*>(p.x)[x];
  }
}

/** A block of 32 × 8 threads takes a tile of 32 × 32 through shared memory, so that both sides are read and written along their rows. */
template <class Unit>
__device__ inline void transpose(const TransposeParams& p) {
  // One column more, so that a column's units lie in different banks.
  __shared__ Unit tile[32][33];
  const int lane = threadIdx.x % 32, first = threadIdx.x / 32;
  unsigned block = blockIdx.x;
  const int columnTile = block % p.columnTiles * 32;
  block /= p.columnTiles;
  const int rowTile = block % p.rowTiles * 32;
  const size_t start = static_cast<size_t>(block / p.rowTiles) * p.rows * p.columns;
  const Unit* x = static_cast<const Unit*>(p.x) + start;
  Unit* y = static_cast<Unit*>(p.y) + start;
  for (int r = first; r < 32; r += 8) {
    const int row = rowTile + r, column = columnTile + lane;
    if (row < p.rows && column < p.columns) tile[r][lane] = x[static_cast<size_t>(row) * p.columns + column];
  }
  __syncthreads();
  for (int c = first; c < 32; c += 8) {
    const int column = columnTile + c, row = rowTile + lane;
    if (row < p.rows && column < p.columns) y[static_cast<size_t>(column) * p.rows + row] = tile[lane][c];
  }
}

__device__ inline void set_bits(uint8_t& unit, unsigned bits) { unit = static_cast<uint8_t>(bits); }
__device__ inline void set_bits(uint32_t& unit, unsigned bits) { unit = bits; }
__device__ inline void set_bits(int4& unit, unsigned bits) { unit.x = unit.y = unit.z = unit.w = static_cast<int>(bits); }

template <class Unit>
__device__ inline void pad(const PadParams& p) {
  const unsigned step = gridDim.x * blockDim.x;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned>(p.count); i += step) {
    unsigned n = i;
    size_t x = 0;
    bool inside = true;
    for (int axis = p.rank - 1; axis >= 0; axis--) {
      const unsigned rest = divide(n, p.multiplier[axis], p.shift[axis]);
      const int size = p.xSize[axis];
      int index = static_cast<int>(n - rest * p.size[axis]) - p.before[axis];
      n = rest;
      if (p.mode == PAD_CONSTANT) {
        inside = inside && index >= 0 && index < size;
      } else if (index < 0) {
        index = -index - (p.mode == PAD_SYMMETRIC ? 1 : 0);
      } else if (index >= size) {
        index = 2 * (size - 1) - index + (p.mode == PAD_SYMMETRIC ? 1 : 0);
      }
      x += static_cast<size_t>(index) * p.xStride[axis];
    }
    Unit unit;
    if (inside) unit = static_cast<const Unit*>(p.x)[x];
    else set_bits(unit, p.bits);
    static_cast<Unit*>(p.y)[i] = unit;
  }
}

}  // namespace

KERNEL(copy_strided_1, CopyStridedParams, 256) { copy_strided<uint8_t>(p); }
KERNEL(copy_strided_4, CopyStridedParams, 256) { copy_strided<uint32_t>(p); }
KERNEL(copy_strided_16, CopyStridedParams, 256) { copy_strided<int4>(p); }
KERNEL(transpose_1, TransposeParams, 256) { transpose<uint8_t>(p); }
KERNEL(transpose_4, TransposeParams, 256) { transpose<uint32_t>(p); }
KERNEL(pad_1, PadParams, 256) { pad<uint8_t>(p); }
KERNEL(pad_4, PadParams, 256) { pad<uint32_t>(p); }
KERNEL(pad_16, PadParams, 256) { pad<int4>(p); }
