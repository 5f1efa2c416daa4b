// Gradients by filters go over the pixels of dy, and find for each what a tap read. P has the fields of ConvFilterGradientParams that describe the window.
#pragma once
#include "kernel.h"

/** A pixel of dy that moves on, and where its picture begins in x. */
template <class P>
struct OutputPixel {
  const float* picture;
  int y, x;

  __device__ __forceinline__ OutputPixel(const P& p, int pixel) {
    const int row = pixel / p.outWidth;
    x = pixel % p.outWidth;
    y = row % p.outHeight;
    picture = p.x + static_cast<long long>(row / p.outHeight) * p.inHeight * p.inWidth * p.inChannels;
  }

  __device__ __forceinline__ void advance(const P& p, int pixels) {
    x += pixels;
    while (x >= p.outWidth) {
      x -= p.outWidth;
      if (++y == p.outHeight) {
        y = 0;
#if !defined(MUTATION_9)  // there is one picture
        picture += static_cast<long long>(p.inHeight) * p.inWidth * p.inChannels;
#endif
      }
    }
  }
};

/** A tap and a channel, and how far the tap lies from where the window begins. */
template <class P>
struct Weight {
  int offsetY, offsetX, channel;

  __device__ __forceinline__ Weight(const P& p, int tap, int channel) : channel(channel) {
    offsetY = tap / p.kernelWidth * p.dilationHeight - p.padTop;
    offsetX = tap % p.kernelWidth * p.dilationWidth - p.padLeft;
  }

  /** Where it reads a pixel's picture, or -1 outside. */
  __device__ __forceinline__ int offset(const P& p, const OutputPixel<P>& pixel) const {
    const int y = pixel.y * p.strideHeight + offsetY, x = pixel.x * p.strideWidth + offsetX;
    const bool inside = static_cast<unsigned>(y) < static_cast<unsigned>(p.inHeight) && static_cast<unsigned>(x) < static_cast<unsigned>(p.inWidth);
    return inside ? (y * p.inWidth + x) * p.inChannels + channel : -1;
  }
};
