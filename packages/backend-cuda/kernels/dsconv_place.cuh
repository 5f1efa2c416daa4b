// What a block of threads computes of dsconv2d, and how it ends: for the tiles of warps (dsconv_mma.cuh) and of groups of four warps (dsconv_wgmma.cuh).
#pragma once
#include "epilogue.cuh"

/** Sums of integers begin with these bits of 1.5 * 2^23 (dsconv_mma.cuh says why). */
constexpr int MAGIC = 0x4b400000;
constexpr float MAGIC_VALUE = 12582912.0f;

/** What a block of threads computes. */
struct TilePlace {
  int firstPixel, group, firstOutput, firstChunk, endChunk;

  /** x counts tiles of pixels, y tiles of channels, group by group, z parts of the depth. */
  template <class T>
  __device__ __forceinline__ static TilePlace of(const DsconvParams& p) {
    TilePlace place;
    const int tiles = (p.groupOutputs + T::tileN - 1) / T::tileN;
    place.firstPixel = static_cast<int>(blockIdx.x) * T::tileM;
    place.group = static_cast<int>(blockIdx.y) / tiles;
    place.firstOutput = (static_cast<int>(blockIdx.y) - place.group * tiles) * T::tileN;
    place.firstChunk = static_cast<int>(blockIdx.z) * p.splitChunks;
    place.endChunk = min(place.firstChunk + p.splitChunks, p.chunks);
    return place;
  }
};

/** Writes rows of the epilogue's tile, the row's pixel by `pixel_of` or none where that is -1: finished, or as one part of the depth. Called by the whole block. */
template <class T, class Pixel>
__device__ __forceinline__ void write_rows(const DsconvParams& p, const TilePlace& place, const float* tile, Pixel pixel_of) {
  if (p.splits == 1) {
    write_tile<T::tileN>(p, tile, T::epilogueStride, T::epilogueRows, place.group, place.firstOutput, pixel_of);
    return;
  }
  const size_t width = static_cast<size_t>(p.groups) * p.paddedOutputs;
  float* partial = p.partial + blockIdx.z * width * p.pixels + static_cast<size_t>(place.group) * p.paddedOutputs + place.firstOutput;
#pragma unroll 1
  for (int at = threadIdx.x * 4; at < T::epilogueRows * T::tileN; at += T::threads * 4) {
    const int row = at / T::tileN, column = at % T::tileN, pixel = pixel_of(row);
    if (pixel < 0 || place.firstOutput + column >= p.paddedOutputs) continue;
    *reinterpret_cast<float4*>(partial + pixel * width + column) = *reinterpret_cast<const float4*>(tile + row * T::epilogueStride + column);
  }
}
