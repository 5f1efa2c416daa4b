// Patches of pictures as the first operand of a product: a row is a pixel of the result, its depths are the taps, each with the channels that it reads.
#pragma once
#include "gemm_tile.cuh"

/** What patches are cut from. Steps are those from tap to tap; where there is no pixel, there are zeros. */
struct PatchSource {
  int height, width;
  /** Channels that a tap reads, and floats from pixel to pixel. */
  int channels, pixelStride;
  int tapsX;
  int stepY, stepX;
};

/** A place in a row of patches: which tap, which pixel of the picture that is, and which channel. */
struct PatchPlace {
  int y, x;
  int tapX;
  int channel;

  /** @param y, x the pixel that tap 0 reads */
  __device__ __forceinline__ PatchPlace(const PatchSource& from, int y, int x, int depth) {
    const int tap = depth / from.channels;
    tapX = tap % from.tapsX;
    channel = depth % from.channels;
    this->y = y + tap / from.tapsX * from.stepY;
    this->x = x + tapX * from.stepX;
  }

  /** @param onTap is called at each new tap, with whether it is the first of a row of them */
  template <class OnTap>
  __device__ __forceinline__ void advance(const PatchSource& from, int depths, OnTap onTap) {
    channel += depths;
#if defined(MUTATION_7)  // a step never holds more than two taps
    if (channel >= from.channels) {
#else
    while (channel >= from.channels) {
#endif
      channel -= from.channels;
      x += from.stepX;
      const bool row = ++tapX == from.tapsX;
      if (row) {
        tapX = 0;
        x -= from.tapsX * from.stepX;
        y += from.stepY;
      }
      onTap(row);
    }
  }

  __device__ __forceinline__ void advance(const PatchSource& from, int depths) {
    advance(from, depths, [](bool) {});
  }

  __device__ __forceinline__ bool inside(const PatchSource& from) const {
#if defined(MUTATION_6)  // what lies below a picture is of the next one
    return y >= 0 && static_cast<unsigned>(x) < static_cast<unsigned>(from.width);
#endif
    return static_cast<unsigned>(y) < static_cast<unsigned>(from.height) && static_cast<unsigned>(x) < static_cast<unsigned>(from.width);
  }

  /** In a picture, which has fewer than 2^31 floats. */
  __device__ __forceinline__ int offset(const PatchSource& from) const { return (y * from.width + x) * from.pixelStride + channel; }
};

/** A row as a thread fetches it, four depths at a time. With VECTOR, these are four channels of one pixel. */
template <int ROW, bool VECTOR>
struct PatchSide {
  const float* picture;
  PatchPlace at;
  /** Depths from the next fetch on; none where the row lies outside. */
  int left;
  int place;
  GemmQuad quad;

  /** The row and the first depth of a step that a thread fetches. */
  static __device__ __forceinline__ int row() { return threadIdx.x / 2; }
  static __device__ __forceinline__ int depth() { return threadIdx.x % 2 * 4; }

  __device__ __forceinline__ PatchSide(const PatchSource& from, const float* picture, int y, int x, bool inside, int first, int end)
      : picture(picture), at(from, y, x, first + depth()), left(inside ? end - first - depth() : 0), place(depth() * ROW + row()) {}

  __device__ __forceinline__ void fetch(const PatchSource& from) {
    quad = {};
    if (VECTOR) {
      if (left > 0 && at.inside(from)) quad = load_quad(picture + at.offset(from));
      at.advance(from, GEMM_DEPTH);
    } else {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if (j < left && at.inside(from)) quad.v[j] = picture[at.offset(from)];
        at.advance(from, 1);
      }
      at.advance(from, GEMM_DEPTH - 4);
    }
    left -= GEMM_DEPTH;
  }

  __device__ __forceinline__ void store(float* to) const { store_across<ROW>(to + place, quad); }
};
