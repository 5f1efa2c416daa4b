// What g++ sees in place of CUDA (kernels/kernel.h): kernels become functions that one fiber per thread runs. Only for tests; nothing here is a GPU's result.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"

#include "fibers.h"

#include "intrinsics.h"

#include "arithmetic.h"

// Not among the words of types.h: the system's headers know it by another meaning.
#define __noinline__ __attribute__((noinline))

/** Files of kernels for one compute capability alone say which before they include anything, such as 90. */
#ifndef KERNEL_CAPABILITY
#define KERNEL_CAPABILITY 0
#endif

#define KERNEL(name, Params, threads)                                                                           \
  static void emulated_##name(const Params& p);                                                                 \
  static const ::emulation::Registration registration_of_##name(                                                \
      #name, sizeof(Params), threads, KERNEL_CAPABILITY, [](const void* p) { emulated_##name(*static_cast<const Params*>(p)); }); \
  static void emulated_##name([[maybe_unused]] const Params& p)

#define DYN_SMEM(T, n) T* n = static_cast<T*>(::emulation::current()->block->dynamic_shared)
