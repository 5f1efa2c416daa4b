// Included by every kernel file first: nvcc sees the device's intrinsics, g++ the emulation, by the same names.
#pragma once
#include <stdint.h>

#ifdef __CUDACC__

// One struct by value; one launch bound, which is the number of threads that the host launches at most.
#define KERNEL(name, Params, threads) \
  extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Params p)
#define DYN_SMEM(T, n) \
  extern __shared__ __align__(128) unsigned char dynamic_shared_memory[]; \
  T* n = reinterpret_cast<T*>(dynamic_shared_memory)
#include "intrinsics.h"

#else
#include "../emulation/cuda_emulation.h"
#endif
