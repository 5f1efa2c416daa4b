// Parameters of softmax.
#pragma once

/** Rows of float32. A block holds 256 / lanes rows. */
struct SoftmaxParams {
  const float* x;
  float* y;
  int rows;
  int channels;
  /** Threads of one row, a power of two up to 256. */
  int lanes;
};
