// Parameters of all kernels of DSConv2D and DSDepthwiseConv2D. Each reads those it needs; the others are 0.
#pragma once

struct DsconvParams {
  /** Activations: an image (src/layout/image.ts), or float32 NHWC. */
  const int8_t* mantissas;
  const float* scales;
  const float* x;
  /** The filter (src/layout/pack-filter.ts): words of weights or float32, scales float16 or float32, what multiplies ΣM or null. */
  const void* weights;
  const void* weightScales;
  const float* shifts;
  /** Per output channel, or null. */
  const float* bias;
  const float* slopes;
  /** Of the output's shape: float32, or an image of one group, or both null. */
  const float* residual;
  const int8_t* residualMantissas;
  const float* residualScales;
  /** What is written: float32, an image of one group, or both. */
  float* result;
  int8_t* imageMantissas;
  float* imageScales;
  /** Sums of parts of the depth, [split][pixel][group][padded output]. */
  float* partial;
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
  int groups;
  /** Output pixels of all pictures. */
  int pixels;
  /** Input channels that one output channel reads. */
  int depth;
  /** Output channels of a group, and the same filled up. */
  int groupOutputs;
  int paddedOutputs;
  /** Depthwise: outputs per channel. */
  int multiplier;
  /** The image of the activations: channels of a full block, blocks of a group, bytes of a full block, of a group, of a pixel; bits of a mantissa. */
  int blockSize;
  int blocks;
  int blockBytes;
  int groupBytes;
  int pixelBytes;
  int bits;
  /** 2, 4, 8, or 32 for float32. Weights in fragments are the uppermost bits of bytes. */
  int weightBits;
  /** 0 fragments, 1 rows. */
  int weightForm;
  /** 1 where scales are float16. */
  int halfScales;
  /** Rows of scales: taps * blocks, or 1. */
  int scaleRows;
  /** Chunks of 32 depths: of a full block, of a tap, of all taps, and the last filled up to whole steps. */
  int blockChunks;
  int groupChunks;
  int chunks;
  int paddedChunks;
  /** The depth is cut into so many parts of so many chunks. */
  int splits;
  int splitChunks;
  /** What a unit of the integer product counts, times 2^24. */
  float unit;
  /** Code of the activation (dsconv_numbers.cuh) and slope of leakyrelu. */
  int activation;
  float alpha;
  /** The residual's image: channels and bytes of a full block, bytes and blocks of a pixel. */
  int residualBlock;
  int residualBlockBytes;
  int residualPixelBytes;
  int residualBlocks;
  /** The grid that the result is rounded to: bits, or 0; channels of a full block; bytes and blocks of a pixel of the image. */
  int outBits;
  int outBlock;
  int outPixelBytes;
  int outBlocks;
  /** Output pixels of a block of threads that computes a rectangle, and its rectangles side by side and one below the other. */
  int tileHeight;
  int tileWidth;
  int tilesAcross;
  int tilesDown;
};
