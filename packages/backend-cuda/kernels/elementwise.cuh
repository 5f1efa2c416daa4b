// Elements four by four, and what JavaScript makes of numbers when it stores them.
#pragma once
#include <math.h>
#include <string.h>
#include "kernel.h"
#include "params/elementwise.h"

/** What a typed array of 32-bit integers stores: truncated, modulo 2^32; NaN and infinities are 0. */
__device__ inline int to_int32(double value) {
  if (value > -2147483649.0 && value < 2147483648.0) return static_cast<int>(value);
  uint64_t bits;
  memcpy(&bits, &value, 8);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1075;
  // At 2^32 units in the last place every value is a multiple of 2^32; NaN and infinities have the largest exponent.
  if (exponent >= 32) return 0;
  const uint64_t mantissa = (bits & 0xfffffffffffffull) | 1ull << 52;
  const uint32_t low = static_cast<uint32_t>(exponent >= 0 ? mantissa << exponent : mantissa >> -exponent);
  return static_cast<int>(bits >> 63 ? 0u - low : low);
}

/** True for all but zeros and NaN, as JavaScript's conditions have it. */
template <class T>
__device__ inline bool truthy(T value) {
  return value != T(0) && value == value;
}

template <class T>
__device__ inline T clamp_activation(int clamp, T value) {
  if (clamp == CLAMP_NONE) return value;
  // Comparisons let NaN through.
  if (value < T(0)) return T(0);
  return clamp == CLAMP_RELU6 && value > T(6) ? T(6) : value;
}

/** n / size for n < 2^31, by the multiplication that the host prepared. */
__device__ inline unsigned divide(unsigned n, unsigned multiplier, unsigned shift) {
  return static_cast<unsigned>(static_cast<uint64_t>(n) * multiplier >> shift);
}

__device__ inline bool aligned16(const void* p) { return (reinterpret_cast<uintptr_t>(p) & 15) == 0; }

/** float32 elements at..at + count, count of at most 4. */
__device__ inline void load4(const void* source, size_t at, int count, bool whole, float (&v)[4]) {
  const float* x = static_cast<const float*>(source) + at;
  if (whole) {
    const float4 q = *reinterpret_cast<const float4*>(x);
    v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
  } else {
    for (int i = 0; i < 4; i++) v[i] = i < count ? x[i] : 0.0f;
  }
}

/** int32 or bool elements as float64, which holds them all. */
__device__ inline void load4_int(const void* source, int type, size_t at, int count, double (&v)[4]) {
  if (type == INT32) {
    const int* x = static_cast<const int*>(source) + at;
    for (int i = 0; i < 4; i++) v[i] = i < count ? x[i] : 0;
  } else {
    const uint8_t* x = static_cast<const uint8_t*>(source) + at;
    for (int i = 0; i < 4; i++) v[i] = i < count ? x[i] : 0;
  }
}

/** Stores as TensorFlow.js's typed arrays do. */
template <class T>
__device__ inline void store4(void* target, int type, size_t at, int count, bool whole, const T (&v)[4]) {
  if (type == FLOAT32) {
    float* y = static_cast<float*>(target) + at;
    if (whole) {
      float4 q;
      q.x = static_cast<float>(v[0]), q.y = static_cast<float>(v[1]), q.z = static_cast<float>(v[2]), q.w = static_cast<float>(v[3]);
      *reinterpret_cast<float4*>(y) = q;
    } else {
      for (int i = 0; i < 4; i++)
        if (i < count) y[i] = static_cast<float>(v[i]);
    }
  } else if (type == INT32) {
    int* y = static_cast<int*>(target) + at;
    for (int i = 0; i < 4; i++)
      if (i < count) y[i] = to_int32(v[i]);
  } else {
    uint8_t* y = static_cast<uint8_t*>(target) + at;
    for (int i = 0; i < 4; i++)
      if (i < count) y[i] = static_cast<uint8_t>(to_int32(v[i]));
  }
}
