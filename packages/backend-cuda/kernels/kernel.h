// Included by every kernel file first: nvcc sees the device's intrinsics, g++ the emulation, by the same names.
//
//   #include "kernel.h"
//   #include "params/bfp.h"
//   KERNEL(bfp_quantize, BfpQuantizeParams, 256) { ... p.rows ... threadIdx.x ... }
#pragma once
#include <stdint.h>

#ifdef __CUDACC__

/** One struct `p` by value; `threads` is the launch bound: the most threads that the host gives a block. The name is the one that the host asks for. */
#define KERNEL(name, Params, threads) \
  extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Params p)

/** The block's dynamic shared memory as `T* n`, aligned to 128 bytes. */
#define DYN_SMEM(T, n)                                                            \
  extern __shared__ __align__(128) unsigned char dsconv_dynamic_shared_memory[]; \
  T* n = reinterpret_cast<T*>(dsconv_dynamic_shared_memory)

#include "intrinsics.h"

#else
#include "../emulation/cuda_emulation.h"
#endif
