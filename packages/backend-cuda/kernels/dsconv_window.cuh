// Rectangles of output pixels, and the part of the input that they read, in shared memory as float32: x̂ = M * scale, which is exact.
#pragma once
#include "dsconv_numbers.cuh"

/** The rectangle of this block of threads. Rectangles count from left to right, down, and picture by picture in the grid's x. */
struct Window {
  /** First output pixel of the picture, and the rectangle's corner in it. */
  int picture, top, left;
  /** First input pixel of the picture; the corner of the part that is read, which may lie outside; its size. */
  size_t inPicture;
  int inTop, inLeft, height, width;

  __device__ __forceinline__ explicit Window(const DsconvParams& p) {
    const int perPicture = p.tilesAcross * p.tilesDown;
    const int n = static_cast<int>(blockIdx.x) / perPicture, tile = static_cast<int>(blockIdx.x) % perPicture;
    top = tile / p.tilesAcross * p.tileHeight;
    left = tile % p.tilesAcross * p.tileWidth;
    picture = n * p.outHeight * p.outWidth;
    inPicture = static_cast<size_t>(n) * p.inHeight * p.inWidth;
    inTop = top * p.strideHeight - p.padTop;
    inLeft = left * p.strideWidth - p.padLeft;
    height = (p.tileHeight - 1) * p.strideHeight + (p.kernelHeight - 1) * p.dilationHeight + 1;
    width = (p.tileWidth - 1) * p.strideWidth + (p.kernelWidth - 1) * p.dilationWidth + 1;
  }

  /** The input pixel at a place of the part that is read, or -1 where the picture ends. */
  __device__ __forceinline__ long long input(const DsconvParams& p, int place) const {
    const int h = inTop + place / width, w = inLeft + place % width;
    if (h < 0 || w < 0 || h >= p.inHeight || w >= p.inWidth) return -1;
    return static_cast<long long>(inPicture + static_cast<size_t>(h) * p.inWidth + w);
  }

  /** The output pixel at a place of the rectangle, or -1 where the picture ends. */
  __device__ __forceinline__ int output(const DsconvParams& p, int row, int column) const {
    if (row >= p.tileHeight || top + row >= p.outHeight || left + column >= p.outWidth) return -1;
    return picture + (top + row) * p.outWidth + left + column;
  }
};
