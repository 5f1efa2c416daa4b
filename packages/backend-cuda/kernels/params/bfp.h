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
};
