// Block floating point (NUMERICS §3), the numbers that scales are stored in, and activations. Include kernel.h first.
#pragma once

/** The bounds of a kernel for KERNEL: threads of a block, and blocks for which a multiprocessor has registers, which keeps the compiler from saving more. */
#ifdef __CUDACC__
#define DSCONV_BOUNDS(threads, blocks) threads, blocks
#else
#define DSCONV_BOUNDS(threads, blocks) threads
#endif

/** Scales of images are stored times 2^-24 (src/layout/image.ts). */
constexpr float SCALE_STORED = 5.9604644775390625e-8f;
constexpr float SCALE_RESTORED = 16777216.0f;

/** A block's grid. Both numbers are powers of two; no logarithm, no division. */
struct BfpGrid {
  /** 2^(E - (bits - 2)); 0 where the block counts as zero, NaN where it has a number that is not finite. */
  float scale;
  /** 1 / scale, or 0: the smallest is 2^-127, a subnormal number, which products keep. */
  float inverse;
};

/** @param peak the largest of the elements' bits without their signs */
__device__ __forceinline__ BfpGrid grid_of(unsigned peak, int bits) {
  const int exponent = static_cast<int>(peak >> 23);
  if (exponent == 255) return {__uint_as_float(0x7fc00000u), 0.0f};
  // Below 2^-100.
  if (exponent < 27) return {0.0f, 0.0f};
  const int power = bits - 2 + 127 - exponent;
  const unsigned inverse = power == -127 ? 0x00400000u : static_cast<unsigned>(power + 127) << 23;
  return {__uint_as_float(static_cast<unsigned>(exponent + 2 - bits) << 23), __uint_as_float(inverse)};
}

__device__ __forceinline__ unsigned magnitude_bits(float x) { return __float_as_uint(x) & 0x7fffffffu; }

/** M: the nearest whole number, ties to the even one, within the clamp; 0 in blocks that have no scale. */
__device__ __forceinline__ int mantissa_of(float x, const BfpGrid& grid, int bits) {
  const float limit = static_cast<float>((1 << (bits - 1)) - 1);
  const float nearest = fminf(fmaxf(rintf(x * grid.inverse), -limit), limit);
  // A NaN lost against the limit above; infinity times 0 is one.
  return grid.inverse == 0.0f ? 0 : static_cast<int>(nearest);
}

__device__ __forceinline__ unsigned pack_bytes(int a, int b, int c, int d) {
  return (a & 255) | (b & 255) << 8 | (c & 255) << 16 | static_cast<unsigned>(d & 255) << 24;
}

/** float16, subnormal numbers included. Scales are finite. */
__device__ __forceinline__ float half_to_float(uint16_t h) {
#ifdef __CUDACC__
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(h));
  return value;
#else
  // 2^-112 for the difference of the exponents' biases.
  const float size = __uint_as_float(static_cast<unsigned>(h & 0x7fffu) << 13) * 5192296858534827628530496329220096.0f;
  return h & 0x8000u ? -size : size;
#endif
}

/** Codes of src/dsconv/epilogue.ts. */
constexpr int DSCONV_RELU = 1, DSCONV_RELU6 = 2, DSCONV_SILU = 3, DSCONV_LEAKYRELU = 4, DSCONV_PRELU = 5;

/** Where exp(-v) nears infinity, exp(v) serves; for -infinity a product would be NaN. */
__device__ __forceinline__ float dsconv_silu(float v) {
  return v < -80.0f ? (v < -120.0f ? 0.0f : v * expf(v)) : v / (1.0f + expf(-v));
}

/** All but silu. NaN stays NaN: no comparison with it is true. */
__device__ __forceinline__ float dsconv_bend(float v, int activation, float slope) {
  const bool clamps = activation == DSCONV_RELU || activation == DSCONV_RELU6;
  const bool bends = activation == DSCONV_LEAKYRELU || activation == DSCONV_PRELU;
  if (clamps && v <= 0.0f) v = 0.0f;
  if (activation == DSCONV_RELU6 && v > 6.0f) v = 6.0f;
  return bends && v < 0.0f ? slope * v : v;
}

__device__ __forceinline__ float dsconv_activate(float v, int activation, float slope) {
  return activation == DSCONV_SILU ? dsconv_silu(v) : dsconv_bend(v, activation, slope);
}
