// Looks elements up: slices by index, and the opposite, one-hot rows.
#include <string.h>
#include "kernel.h"
#include "params/gather.h"

namespace {

template <class Unit>
__device__ inline void gather(const GatherParams& p) {
  const unsigned step = gridDim.x * blockDim.x;
  for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < static_cast<unsigned>(p.count); n += step) {
    const unsigned slice = n % p.slice, row = n / p.slice;
    const unsigned i = row % p.indexCount, lines = row / p.indexCount;
    const int index = p.indices[static_cast<size_t>(lines / p.outer) * p.indexCount + i];
    Unit unit;
    if (index >= 0 && index < p.length) {
      unit = static_cast<const Unit*>(p.x)[(static_cast<size_t>(lines) * p.length + index) * p.slice + slice];
    } else {
      memset(&unit, 0, sizeof unit);
    }
    static_cast<Unit*>(p.y)[n] = unit;
  }
}

}  // namespace

KERNEL(gather_1, GatherParams, 256) { gather<uint8_t>(p); }
KERNEL(gather_4, GatherParams, 256) { gather<uint32_t>(p); }
KERNEL(gather_16, GatherParams, 256) { gather<int4>(p); }

KERNEL(one_hot, OneHotParams, 256) {
  const unsigned depth = static_cast<unsigned>(p.depth), step = gridDim.x * blockDim.x;
  for (unsigned n = blockIdx.x * blockDim.x + threadIdx.x; n < static_cast<unsigned>(p.count); n += step) {
    // A negative index is no place either.
    const unsigned bits = static_cast<unsigned>(p.indices[n / depth]) == n % depth ? p.on : p.off;
    if (p.bytes == 4) static_cast<uint32_t*>(p.y)[n] = bits;
    else static_cast<uint8_t*>(p.y)[n] = static_cast<uint8_t>(bits);
  }
}
