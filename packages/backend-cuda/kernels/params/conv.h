// Parameters of float32 convolutions and their gradients. Pictures are NHWC, filters [kernelHeight, kernelWidth, in, out].
#pragma once

/** y = act(convolution(x, filter) + bias + residual). Groups of channels are convolved each by itself. */
struct ConvParams {
  const float* x;
  const float* filter;
  float* y;
  /** [splits, pixels, outChannels] where splits is above 1, else 0. */
  float* partial;
  const float* bias;
  const float* residual;
  const float* slopes;
  int biasStep;
  int slopesStep;
  int activation;
  float alpha;
  /** Pixels of y, those of all pictures. */
  int pixels;
  int inHeight;
  int inWidth;
  /** Channels of x, and of each group: the third axis of the filter. */
  int inChannels;
  int groupChannels;
  int outHeight;
  int outWidth;
  /** Of y, and of each group. */
  int outChannels;
  int groupOutputs;
  int kernelHeight;
  int kernelWidth;
  int strideHeight;
  int strideWidth;
  int dilationHeight;
  int dilationWidth;
  int padTop;
  int padLeft;
  /** Whether any tap of any pixel lies outside. */
  int padded;
  int tilesN;
  int tilesM;
  int groups;
  int splits;
  int splitDepth;
};

/**
 * dx from dy and the filter. Pixels of x are sorted into strideHeight * strideWidth classes by which taps reach them (conv_input_gradient.cuh), and each is a
 * convolution of stride 1. One of stride and dilation is 1.
 */
struct ConvInputGradientParams {
  const float* dy;
  const float* filter;
  float* dx;
  /** [splits, pixels, inChannels] where splits is above 1, else 0. */
  float* partial;
  int batch;
  int inHeight;
  int inWidth;
  int inChannels;
  int outHeight;
  int outWidth;
  int outChannels;
  int kernelHeight;
  int kernelWidth;
  int strideHeight;
  int strideWidth;
  int dilationHeight;
  int dilationWidth;
  int padTop;
  int padLeft;
  int tilesN;
  /** Of the largest class. */
  int tilesM;
  int splits;
};

/** dw[tap, c, o] = Σ over the pixels of dy of x[pixel at tap, c] * dy[pixel, o]. */
struct ConvFilterGradientParams {
  const float* x;
  const float* dy;
  float* dw;
  /** [splits, taps, inChannels, outChannels] where splits is above 1, else 0. */
  float* partial;
  /** Of dy. */
  int pixels;
  int inHeight;
  int inWidth;
  int inChannels;
  int outHeight;
  int outWidth;
  int outChannels;
  int kernelHeight;
  int kernelWidth;
  int strideHeight;
  int strideWidth;
  int dilationHeight;
  int dilationWidth;
  int padTop;
  int padLeft;
  int tilesN;
  int tilesM;
  int splits;
  /** Pixels of a split, a multiple of 8. */
  int splitDepth;
};
