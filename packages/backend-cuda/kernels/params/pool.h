// Parameters of pools of NHWC pictures and their gradients.
#pragma once

struct PoolParams {
  const float* x;
  float* y;
  /** Of y, those of all pictures. */
  int pixels;
  int channels;
  int inHeight;
  int inWidth;
  int outHeight;
  int outWidth;
  int kernelHeight;
  int kernelWidth;
  int strideHeight;
  int strideWidth;
  int padTop;
  int padLeft;
};

struct PoolGradientParams {
  /** What the pool read; maxima alone need it. */
  const float* x;
  const float* dy;
  float* dx;
  /** [pixels of y, channels]: the tap of each maximum, -1 where there is none. Maxima alone need it. */
  int* taps;
  int batch;
  int channels;
  int inHeight;
  int inWidth;
  int outHeight;
  int outWidth;
  int kernelHeight;
  int kernelWidth;
  int strideHeight;
  int strideWidth;
  int padTop;
  int padLeft;
};
