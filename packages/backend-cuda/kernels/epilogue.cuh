// The end of every convolution: a tile of sums in shared memory, finished with bias, residual and activation, rounded, and written as float32, as an image,
// or both.
#pragma once
#include "dsconv_numbers.cuh"

/** The four channels that a thread finishes, the same in every row of the tile. */
template <class P>
struct EpilogueQuad {
  /** First channel of the output, and how many of the four there are. */
  int channel, count;
  /** Whether the four are read and written at once. */
  bool whole;
  float bias[4];
  /** Place of the quad within a pixel of the residual's image: byte, and block. */
  int residualByte, residualBlock;

  /** @param first channel within the group */
  __device__ __forceinline__ EpilogueQuad(const P& p, int group, int first) {
    channel = group * p.groupOutputs + first;
    count = min(max(p.groupOutputs - first, 0), 4);
    whole = count == 4 && p.outChannels % 4 == 0 && channel % 4 == 0;
    for (int n = 0; n < 4; n++) bias[n] = p.bias && n < count ? p.bias[channel + n] : 0.0f;
    residualBlock = p.residualMantissas ? channel / p.residualBlock : 0;
    residualByte = channel + residualBlock * (p.residualBlockBytes - p.residualBlock);
  }

  __device__ __forceinline__ void load(const float* from, size_t at, float (&v)[4]) const {
    if (whole) {
      const float4 r = *reinterpret_cast<const float4*>(from + at);
      v[0] = r.x, v[1] = r.y, v[2] = r.z, v[3] = r.w;
    } else {
      for (int n = 0; n < 4; n++) v[n] = n < count ? from[at + n] : 0.0f;
    }
  }

  __device__ __forceinline__ void store(const P& p, size_t at, const float (&v)[4]) const {
    if (whole) {
      *reinterpret_cast<float4*>(p.result + at) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
      for (int n = 0; n < 4; n++) {
        if (n < count) p.result[at + n] = v[n];
      }
    }
  }

  /** activation(sum + bias + residual); 0 for channels that do not exist. */
  __device__ __forceinline__ void finish(const P& p, int pixel, float (&v)[4]) const {
    float r[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (p.residual) {
      load(p.residual, static_cast<size_t>(pixel) * p.outChannels + channel, r);
    } else if (p.residualMantissas && count > 0) {
      const unsigned m =
          *reinterpret_cast<const unsigned*>(p.residualMantissas + static_cast<size_t>(pixel) * p.residualPixelBytes + residualByte);
      const float scale = p.residualScales[static_cast<size_t>(pixel) * p.residualBlocks + residualBlock] * SCALE_RESTORED;
      for (int n = 0; n < 4; n++) r[n] = static_cast<float>(static_cast<int8_t>(m >> (8 * n))) * scale;
    }
    for (int n = 0; n < 4; n++) {
      const float slope = p.activation == DSCONV_PRELU && n < count ? p.slopes[channel + n] : p.alpha;
      v[n] = dsconv_bend(v[n] + bias[n] + r[n], p.activation, slope);
    }
    if (p.activation == DSCONV_SILU) {
      // The code of exp once, not four times: the numbers go around.
#pragma unroll 1
      for (int n = 0; n < 4; n++) {
        const float y = dsconv_silu(v[0]);
        v[0] = v[1], v[1] = v[2], v[2] = v[3], v[3] = y;
      }
    }
    for (int n = 0; n < 4; n++) v[n] = n < count ? v[n] : 0.0f;
  }
};

/** Rounds and writes a finished quad. Called by whole warps; `live` where the pixel exists. `lanes` neighbours hold the channels of a block. */
template <class P>
__device__ __forceinline__ void write_quad(const P& p, const EpilogueQuad<P>& quad, int pixel, bool live, int lanes, float (&v)[4]) {
  if (p.outBits == 0) {
    if (live && quad.count > 0) quad.store(p, static_cast<size_t>(pixel) * p.outChannels + quad.channel, v);
    return;
  }
  unsigned peak = 0;
  for (int n = 0; n < 4; n++) peak = max(peak, magnitude_bits(v[n]));
  for (int by = 1; by < lanes; by *= 2) peak = max(peak, __shfl_xor_sync(~0u, peak, by));
  if (!live) return;
  const BfpGrid grid = grid_of(peak, p.outBits);
  int m[4];
  for (int n = 0; n < 4; n++) m[n] = mantissa_of(v[n], grid, p.outBits);
  if (p.result && quad.count > 0) {
    for (int n = 0; n < 4; n++) v[n] = static_cast<float>(m[n]) * grid.scale;
    quad.store(p, static_cast<size_t>(pixel) * p.outChannels + quad.channel, v);
  }
  // Blocks follow each other without gaps here, or there is one; what fills the last one up is written as zeros by quads of no channels.
  if (p.imageMantissas && quad.channel < p.outPixelBytes) {
    *reinterpret_cast<unsigned*>(p.imageMantissas + static_cast<size_t>(pixel) * p.outPixelBytes + quad.channel) = pack_bytes(m[0], m[1], m[2], m[3]);
    if (quad.count > 0 && quad.channel % p.outBlock == 0) {
      p.imageScales[static_cast<size_t>(pixel) * p.outBlocks + quad.channel / p.outBlock] = grid.scale * SCALE_STORED;
    }
  }
}

/** Lanes that hold a block of the result's grid, where a row of the tile is so many quads. */
template <class P>
__device__ __forceinline__ int lanes_of_block(const P& p, int quads) {
  return p.outBlock >= p.outChannels ? quads : p.outBlock / 4;
}

/**
 * Finishes `rows` rows of `columns` sums, a power of two from 4 to 128. Called by the whole block, whose number of threads is a multiple of 32.
 *
 * @param first channel of the tile within the group
 * @param pixel_of output pixel of a row of the tile, or -1
 */
template <int columns, class P, class Pixel>
__device__ __forceinline__ void write_tile(const P& p, const float* tile, int stride, int rows, int group, int first, Pixel pixel_of) {
  constexpr int quads = columns / 4;
  const int column = static_cast<int>(threadIdx.x) % quads * 4;
  const EpilogueQuad<P> quad(p, group, first + column);
  const int lanes = lanes_of_block(p, quads);
  const int step = static_cast<int>(blockDim.x) / quads;
#pragma unroll 1
  for (int start = 0; start < rows; start += step) {
    const int row = start + static_cast<int>(threadIdx.x) / quads;
    const int pixel = row < rows ? pixel_of(row) : -1;
    float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (pixel >= 0) {
      const float4 sums = *reinterpret_cast<const float4*>(tile + row * stride + column);
      v[0] = sums.x, v[1] = sums.y, v[2] = sums.z, v[3] = sums.w;
      quad.finish(p, pixel, v);
    }
    write_quad(p, quad, pixel, pixel >= 0, lanes, v);
  }
}
