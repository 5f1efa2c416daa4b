// dsconv2d on the tensor cores of compute capability 9.0, by groups of four warps: output channels by pixels, the other way round than dsconv_mma.cuh, so that
// weights are the operand in registers, where their few bits become bytes, and activations the one in shared memory. Steps are those of dsconv_steps.cuh: the
// order of pieces there is the device's own for rows of 64 and 128 bytes, and the words of 16 outputs are the fragment of a warp's 16 rows as they lie.
//
// A group of warps has 64 channels and two halves of 64 pixels. While the products of one half run, the sums of the other are scaled:
//
//     block      b                               b + 1
//     half 0     ░░░░ scaled ─ products ─────────░░░░ scaled ─ products
//     half 1     ─ products ─────────░░░░ scaled ─ products ─────────
#pragma once
#include "dsconv_place.cuh"
#include "dsconv_steps.cuh"

/**
 * How a kernel cuts its work.
 *
 * @param channels output channels of a block of threads, 64 for each group of warps
 * @param blockChunks chunks of every block of the filter
 * @param stageCount steps in the ring
 */
template <int channels, int blockChunks, int stageCount>
struct WgmmaTile {
  static constexpr int tileM = 128, tileN = channels, block = blockChunks, chunks = blockChunks == 1 ? 2 : 4, stages = stageCount;
  static constexpr int threads = 2 * channels, half = tileM / 2;
  static_assert(channels % 64 == 0 && stages >= 4, "groups of warps have 64 channels, and three steps of the ring are in use");
  /** Blocks of a step. With each row's scale lies what its sums begin with, scaled. */
  static constexpr int slots = chunks / block, scaleBytes = 8;
  static constexpr int rowBytes = 32 * chunks, pieces = 2 * chunks, rowsPerThread = tileM * pieces / threads;
  /** Steps begin at multiples of this: the order of pieces counts from there. */
  static constexpr int alignment = 1024;
  /** The epilogue's rows at a time, a half; four floats more than channels let the fragments' columns be written without conflicts. */
  static constexpr int epilogueRows = half, epilogueStride = tileN + 4;
};

/** The lower half of what describes 64 rows of a tile to wgmma: the address in shared memory where they begin, in 16 bytes. So far may be added to it. */
__device__ __forceinline__ unsigned matrix_beginning(const void* rows) { return (shared_address(rows) & 0x3ffffu) >> 4 | 1u << 16; }

/** All of it: what eight rows take, and the order of pieces. */
template <class T>
__device__ __forceinline__ uint64_t matrix_from(unsigned beginning) {
  constexpr unsigned order = T::rowBytes == 128 ? 1 : 2;
  return static_cast<uint64_t>(order << 30 | 8 * T::rowBytes >> 4) << 32 | beginning;
}

/** What one thread has of a group's product. */
template <class T>
struct GroupProduct {
  static constexpr int SUMS = T::half / 2, WORDS = 4 * T::block;
  const DsconvParams& p;
  const StepLayout<T> layout;
  /** Channel of this lane's first row, the other is 8 further; place of the pair's weights; place of its first pixel's scales. */
  int channel, weightPlace, scalePlace;
  int sums[2][SUMS];
  float y[2][SUMS];

  __device__ __forceinline__ explicit GroupProduct(const DsconvParams& params) : p(params), layout(params, false) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    channel = warp * 16 + (lane >> 2);
    weightPlace = T::tileM * T::rowBytes + warp * layout.weightBytes + lane * (p.weightBits == 8 ? 16 : 8);
    scalePlace = layout.rowScales + (lane & 3) * 2 * T::scaleBytes;
#pragma unroll
    for (int h = 0; h < 2; h++) {
#pragma unroll
      for (int n = 0; n < SUMS; n++) sums[h][n] = 0, y[h][n] = 0.0f;
    }
  }

  /** The weights of a block of the step as signed bytes. */
  template <int bits>
  __device__ __forceinline__ void read_weights(const unsigned char* step, int slot, uint32_t (&a)[WORDS]) const {
    const unsigned char* words = step + weightPlace;
#pragma unroll
    for (int c = 0; c < T::block; c++) {
      const int chunk = slot * T::block + c;
      uint32_t* to = a + 4 * c;
      if constexpr (bits == 8) {
        const uint4 w = *reinterpret_cast<const uint4*>(words + chunk * 512);
        to[0] = w.x, to[2] = w.y, to[1] = w.z, to[3] = w.w;
      } else if constexpr (bits == 4) {
        const uint2 w = *reinterpret_cast<const uint2*>(words + chunk * 256);
        to[0] = w.x & 0xf0f0f0f0u, to[2] = w.x << 4 & 0xf0f0f0f0u;
        to[1] = w.y & 0xf0f0f0f0u, to[3] = w.y << 4 & 0xf0f0f0f0u;
      } else {
        const uint2 w = *reinterpret_cast<const uint2*>(words + chunk / 2 * 256);
        const int by = 4 * (chunk % 2);
        to[0] = w.x << by & 0xc0c0c0c0u, to[2] = w.x << (by + 2) & 0xc0c0c0c0u;
        to[1] = w.y << by & 0xc0c0c0c0u, to[3] = w.y << (by + 2) & 0xc0c0c0c0u;
      }
    }
  }

  /** Begins the products of a half of the pixels and a block. */
  __device__ __forceinline__ void multiply(const unsigned char* step, int slot, int h, uint32_t (&a)[WORDS]) {
    wgmma_fence(sums[h], a);
    const unsigned from = matrix_beginning(step) + (h * T::half * T::rowBytes + slot * T::block * 32) / 16;
#pragma unroll
    for (int c = 0; c < T::block; c++) {
      const uint64_t matrix = matrix_from<T>(from + c * 2);
      if (c == 0) {
        wgmma_s8_64x64x32<false>(sums[h], a, c, matrix);
      } else {
        wgmma_s8_64x64x32<true>(sums[h], a, c, matrix);
      }
    }
    wgmma_commit();
  }

  /** Scales of this lane's two channels for a block. */
  __device__ __forceinline__ float2 channel_scales(const unsigned char* step, int slot) const {
    const unsigned char* from = step + layout.columnScales + slot * T::tileN * layout.columnBytes;
    float2 w;
    if (p.halfScales) {
      const uint16_t* at = reinterpret_cast<const uint16_t*>(from) + channel;
      w = make_float2(half_to_float(at[0]), half_to_float(at[8]));
    } else {
      const float* at = reinterpret_cast<const float*>(from) + channel;
      w = make_float2(at[0], at[8]);
    }
    return make_float2(w.x * p.unit, w.y * p.unit);
  }

  /** Adds the sums of a half, scaled. */
  __device__ __forceinline__ void add(const unsigned char* step, int slot, int h, const float2& w) {
    const unsigned char* from = step + scalePlace + (slot * T::tileM + h * T::half) * T::scaleBytes;
#pragma unroll
    for (int n = 0; n < SUMS; n += 4) {
      // Of two pixels: scale, and -1.5 * 2^23 times that.
      const float4 s = *reinterpret_cast<const float4*>(from + n * 2 * T::scaleBytes);
#pragma unroll
      for (int r = 0; r < 4; r++) {
        const float scaled = __fmaf_rn(__int_as_float(sums[h][n + r] + MAGIC), r % 2 == 0 ? s.x : s.z, r % 2 == 0 ? s.y : s.w);
        y[h][n + r] = __fmaf_rn(scaled, r < 2 ? w.x : w.y, y[h][n + r]);
      }
    }
  }

  /** Writes a half to the epilogue's tile, a row for each pixel. */
  __device__ __forceinline__ void store(float* tile, int wanted) const {
    float* at = tile + (threadIdx.x & 3) * 2 * T::epilogueStride + channel;
    // Registers have no indices.
#pragma unroll
    for (int h = 0; h < 2; h++) {
      if (h != wanted) continue;
#pragma unroll
      for (int n = 0; n < SUMS; n++) at[(n / 4 * 8 + n % 2) * T::epilogueStride + n % 4 / 2 * 8] = y[h][n];
    }
  }
};

/** The ring, from the side of who reads it. */
template <class T, int bits>
struct Ring {
  StepLoader<T, false>& loader;
  unsigned char* shared;
  /** Steps that are not yet copied; bytes of the ring, of a step, and where the next is read and written. */
  int left, bytes, stepBytes, readAt = 0, writeAt = 0;

  __device__ __forceinline__ Ring(StepLoader<T, false>& from, const TilePlace& place, unsigned char* memory) : loader(from), shared(memory) {
    stepBytes = (loader.layout.bytes + T::alignment - 1) / T::alignment * T::alignment;
    bytes = T::stages * stepBytes;
    left = (place.endChunk - place.firstChunk + T::chunks - 1) / T::chunks;
#pragma unroll 1
    for (int n = 0; n < T::stages - 2; n++) load();
  }

  /** Begins the copies of the next step, or of none. */
  __device__ __forceinline__ void load() {
    if (left > 0) loader.template load<bits>(shared + writeAt);
    cp_async_commit();
    left--;
    writeAt = writeAt + stepBytes == bytes ? 0 : writeAt + stepBytes;
  }

  /** The next step, there for all threads and wgmma. The one before may still be read; load() takes the place of the one before that. */
  __device__ __forceinline__ const unsigned char* next() {
    unsigned char* step = shared + readAt;
    readAt = readAt + stepBytes == bytes ? 0 : readAt + stepBytes;
#ifndef MUTATION_16  // copies are not waited for
    cp_async_wait<T::stages - 3>();
#endif
    loader.scale_beginnings(step);
#ifndef MUTATION_17  // wgmma may see what was there before the copies
    fence_proxy_async();
#endif
#ifndef MUTATION_18  // the other threads are not waited for
    __syncthreads();
#endif
    return step;
  }
};

/** Multiplies the depth of a part, block by block. */
template <class T, int bits>
__device__ __forceinline__ void multiply_blocks(GroupProduct<T>& product, StepLoader<T, false>& loader, const TilePlace& place, unsigned char* shared) {
  using Product = GroupProduct<T>;
  Ring<T, bits> ring(loader, place, shared);
  // Weights of a block are multiplied until its second half has ended, while those of the next are unpacked.
  uint32_t even[Product::WORDS], odd[Product::WORDS];
  const unsigned char* step = ring.next();
  product.template read_weights<bits>(step, 0, even);
  product.multiply(step, 0, 0, even);
  ring.load();
  int left = (place.endChunk - place.firstChunk) / T::block;
  // A block whose first half is under way.
  const auto turn = [&](int slot, uint32_t(&a)[Product::WORDS], uint32_t(&following)[Product::WORDS]) {
    const unsigned char* current = step;
    const float2 w = product.channel_scales(current, slot);
#ifndef MUTATION_19  // sums are read before they are there
    wgmma_wait<0>(product.sums[0]);
#endif
    product.multiply(current, slot, 1, a);
    product.add(current, slot, 0, w);
    const bool steps = slot == T::slots - 1;
    const int next = steps ? 0 : slot + 1;
    const bool more = --left > 0;
    if (more) {
      if (steps) step = ring.next();
      product.template read_weights<bits>(step, next, following);
    }
    wgmma_wait<0>(product.sums[1]);
    hold_registers(a);
    if (more) {
      product.multiply(step, next, 0, following);
      if (steps) ring.load();
    }
    product.add(current, slot, 1, w);
  };
#pragma unroll 1
  for (;;) {
    turn(0, even, odd);
    if (left == 0) break;
    turn(T::slots - 1, odd, even);
    if (left == 0) break;
  }
  wgmma_wait<0>(product.sums[0]);
}

template <class T>
__device__ __forceinline__ void dsconv2d_wgmma_tile(const DsconvParams& p, unsigned char* memory) {
  const TilePlace place = TilePlace::of<T>(p);
  unsigned char* shared = memory + (-shared_address(memory) & (T::alignment - 1));
  StepLoader<T, false> loader(p, place.firstPixel, place.group, place.firstOutput, place.firstChunk);
  GroupProduct<T> product(p);
  if (p.weightBits == 8) {
    multiply_blocks<T, 8>(product, loader, place, shared);
  } else if (p.weightBits == 4) {
    multiply_blocks<T, 4>(product, loader, place, shared);
  } else {
    multiply_blocks<T, 2>(product, loader, place, shared);
  }
  cp_async_wait<0>();
  float* tile = reinterpret_cast<float*>(shared);
#pragma unroll 1
  for (int h = 0; h < 2; h++) {
    // The tile lies where steps were, and the other half.
    __syncthreads();
    product.store(tile, h);
    __syncthreads();
    write_rows<T>(p, place, tile, [&](int row) {
      const int pixel = place.firstPixel + h * T::half + row;
      return pixel < p.pixels ? pixel : -1;
    });
  }
}
