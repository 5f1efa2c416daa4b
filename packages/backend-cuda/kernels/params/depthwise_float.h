// Parameters of float32 depthwise convolutions and their gradients. Pictures are NHWC, filters [kernelHeight, kernelWidth, channels, multiplier].
#pragma once

/** y[pixel, c * multiplier + m] = act(Σ over taps of x[pixel at tap, c] * filter[tap, c, m] + bias + residual). */
struct DepthwiseFloatParams {
  const float* x;
  const float* filter;
  float* y;
  /** 0 where there is none. */
  const float* bias;
  const float* residual;
  const float* slopes;
  /** 1: a value per channel of y; 0: one for all. */
  int biasStep;
  int slopesStep;
  int activation;
  float alpha;
  /** Rows of pixels of y, those of all pictures. */
  int rows;
  int inHeight;
  int inWidth;
  int inChannels;
  int outHeight;
  int outWidth;
  int multiplier;
  int kernelHeight;
  int kernelWidth;
  int strideHeight;
  int strideWidth;
  int dilationHeight;
  int dilationWidth;
  int padTop;
  int padLeft;
};

/** dx from dy and the filter. */
struct DepthwiseFloatInputGradientParams {
  const float* dy;
  const float* filter;
  float* dx;
  /** Pixels of x, those of all pictures. */
  int pixels;
  int inHeight;
  int inWidth;
  int inChannels;
  int outHeight;
  int outWidth;
  int multiplier;
  int kernelHeight;
  int kernelWidth;
  int strideHeight;
  int strideWidth;
  int dilationHeight;
  int dilationWidth;
  int padTop;
  int padLeft;
};

/** dw[tap, o] = Σ over the pixels of dy of x[pixel at tap, o / multiplier] * dy[pixel, o]. */
struct DepthwiseFloatFilterGradientParams {
  const float* x;
  const float* dy;
  /** The gradient, or [splits, taps, inChannels * multiplier] where blocks share the pixels. */
  float* dw;
  /** Of dy. */
  int pixels;
  int inHeight;
  int inWidth;
  int inChannels;
  int outHeight;
  int outWidth;
  int multiplier;
  int kernelHeight;
  int kernelWidth;
  int strideHeight;
  int strideWidth;
  int dilationHeight;
  int dilationWidth;
  int padTop;
  int padLeft;
  /** Pixels of a block. */
  int splitDepth;
};
