// CUDA's words and vector types.
#pragma once

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __restrict__ __restrict
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
// A thread of the system runs one block at a time. Every block finds it poisoned.
#define __shared__ static thread_local

#define EMULATED_VECTORS(name, type, align2, align4)                                          \
  struct alignas(align2) name##2 { type x, y; };                                              \
  struct name##3 { type x, y, z; };                                                           \
  struct alignas(align4) name##4 { type x, y, z, w; };                                        \
  static inline name##2 make_##name##2(type x, type y) { return {x, y}; }                     \
  static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }          \
  static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMULATED_VECTORS(char, signed char, 2, 4)
EMULATED_VECTORS(uchar, unsigned char, 2, 4)
EMULATED_VECTORS(short, short, 4, 8)
EMULATED_VECTORS(ushort, unsigned short, 4, 8)
EMULATED_VECTORS(int, int, 8, 16)
EMULATED_VECTORS(uint, unsigned, 8, 16)
EMULATED_VECTORS(float, float, 8, 16)
#undef EMULATED_VECTORS
struct alignas(16) longlong2 { long long x, y; };
struct alignas(16) double2 { double x, y; };

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
