// Parameters of the kernels that round to block floating point.
#pragma once

/** Quantizes float32 rows of channels to an image (src/layout/image.ts). NUMERICS §3. */
struct BfpQuantizeParams {
  const float* x;
  int8_t* mantissas;
  float* scales;
  /** Pixels, channels of all groups. */
  int rows;
  int channels;
  int groups;
  /** Channels of a full block. */
  int blockSize;
  int bits;
  /** Threads that share a block: a power of two from 8 to 32. */
  int lanes;
};

/** Rounds float32 rows of channels to the grid; x and y may be the same. */
struct BfpRoundParams {
  const float* x;
  float* y;
  int rows;
  int channels;
  int groups;
  int blockSize;
  int bits;
  int lanes;
};

/** The gradient of that rounding: dy where the clamp changes nothing, else 0. */
struct BfpGradientParams {
  const float* x;
  const float* dy;
  float* dx;
  int rows;
  int channels;
  int groups;
  int blockSize;
  int bits;
  int lanes;
};
