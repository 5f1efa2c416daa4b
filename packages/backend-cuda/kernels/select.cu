// The choice between two tensors.
#include "kernel.h"
#include "params/select.h"

KERNEL(select_elements, SelectParams, 256) {
  const unsigned inner = static_cast<unsigned>(p.inner), step = gridDim.x * blockDim.x;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned>(p.count); i += step) {
    const void* from = p.condition[inner == 1 ? i : i / inner] == 1 ? p.t : p.e;
    if (p.bytes == 4) static_cast<uint32_t*>(p.y)[i] = static_cast<const uint32_t*>(from)[i];
    else static_cast<uint8_t*>(p.y)[i] = static_cast<const uint8_t*>(from)[i];
  }
}
