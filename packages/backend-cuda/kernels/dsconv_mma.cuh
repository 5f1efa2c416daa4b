// dsconv2d as a product of matrices on integer tensor cores: pixels by (tap, depth) times (tap, depth) by output channels. A block of threads computes some output
// pixels by some output channels of one group; steps of the depth are copied to shared memory while older ones are multiplied (dsconv_steps.cuh).
//
// Scaling at the end of a block: accumulators begin with the bits of 1.5 * 2^23, where one unit in the last place is 1, so that the accumulator read as float32
// is F = 1.5 * 2^23 + P while |P| < 2^22. A row scale s is a power of two, hence F * s - 1.5 * 2^23 * s = P * s is one exact operation, and a second one adds it
// times the column's scale. Row scales are stored times 2^-24, so that 1.5 * 2^23 * s is finite for every finite activation; the columns' carry 2^24.
// Where |P| may reach 2^22 (more than 258 depths at 8 bits) accumulators begin with 0 and are converted (`converts`).
#pragma once
#include "dsconv_place.cuh"
#include "dsconv_steps.cuh"

/** ΣM of a block is the product with a column of ones. */
constexpr uint32_t ONES = 0x01010101u;

/** Row scales of a block, of this lane's rows. */
template <int M>
struct RowScales {
  float scale[M][2], begun[M][2];
  __device__ __forceinline__ explicit RowScales(const float* from) {
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
      for (int r = 0; r < 2; r++) {
        scale[m][r] = from[m * 16 + r * 8];
        begun[m][r] = scale[m][r] * -MAGIC_VALUE;
      }
    }
  }
};

/** The products of one warp. */
template <class T, bool converts, bool shifted>
struct WarpProduct {
  static constexpr int M = T::fragmentsM, N = T::fragmentsN;
  static constexpr int START = converts ? 0 : MAGIC;
  const DsconvParams& p;
  const StepLayout<T> layout;
  int lane, warpRow, warpColumn;
  /** Place of this lane's first row scale in a step, and its first pair of columns. */
  int rowPlace, columnPair;
  /** Place of this lane's row for ldmatrix, for the first chunk; chunk c is 32 * c bytes further, which the order of the pieces makes an exclusive or. */
  int fragmentPlace;
  float y[M][N][4];

  __device__ __forceinline__ explicit WarpProduct(const DsconvParams& params) : p(params), layout(params, shifted) {
    lane = threadIdx.x & 31;
    const int warp = threadIdx.x >> 5;
    warpRow = warp / T::acrossWarps * T::warpM;
    warpColumn = warp % T::acrossWarps * T::warpN;
    rowPlace = layout.rowScales + (warpRow + (lane >> 2)) * 4;
    columnPair = warpColumn / 2 + (lane & 3);
    fragmentPlace = activation_place<T>(warpRow + (lane & 7) + (lane >> 3 & 1) * 8, lane >> 4);
#ifdef MUTATION_2  // fragments are read where their pieces would lie in another order
    fragmentPlace ^= lane & 2 ? 16 : 0;
#endif
    // Otherwise the compiler finds them anew in every step.
    keep(rowPlace);
    keep(columnPair);
    keep(fragmentPlace);
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
      for (int n = 0; n < N; n++) {
#pragma unroll
        for (int r = 0; r < 4; r++) y[m][n][r] = 0.0f;
      }
    }
  }

  /** Holds a number in a register. */
  __device__ __forceinline__ static void keep(int& value) { asm volatile("" : "+r"(value)); }

  /** The activations of a chunk of 16 rows. */
  __device__ __forceinline__ void read_activations(const unsigned char* step, int chunk, int m, uint32_t (&a)[4]) const {
    ldmatrix_x4(a, step + (fragmentPlace ^ chunk * 32) + m * 16 * T::rowBytes);
  }

  /** The weights of a chunk and a pair of fragments as signed bytes. */
  __device__ __forceinline__ void read_weights(const unsigned char* step, int chunk, int pair, uint32_t (&b)[2][2]) const {
    const unsigned char* words = step + T::tileM * T::rowBytes + (warpColumn / 16 + pair) * layout.weightBytes;
    if (p.weightBits == 8) {
      const uint4 w = reinterpret_cast<const uint4*>(words + chunk * 512)[lane];
      b[0][0] = w.x, b[0][1] = w.y, b[1][0] = w.z, b[1][1] = w.w;
    } else if (p.weightBits == 4) {
      const uint2 w = reinterpret_cast<const uint2*>(words + chunk * 256)[lane];
      b[0][0] = w.x & 0xf0f0f0f0u, b[0][1] = w.x << 4 & 0xf0f0f0f0u;
      b[1][0] = w.y & 0xf0f0f0f0u, b[1][1] = w.y << 4 & 0xf0f0f0f0u;
    } else {
      const uint2 w = reinterpret_cast<const uint2*>(words + chunk / 2 * 256)[lane];
      const int by = 4 * (chunk % 2);
      b[0][0] = w.x << by & 0xc0c0c0c0u, b[0][1] = w.x << (by + 2) & 0xc0c0c0c0u;
      b[1][0] = w.y << by & 0xc0c0c0c0u, b[1][1] = w.y << (by + 2) & 0xc0c0c0c0u;
    }
#ifdef MUTATION_3  // the halves of a fragment are exchanged
    const uint32_t swapped = b[0][0];
    b[0][0] = b[0][1], b[0][1] = swapped;
#endif
  }

  __device__ __forceinline__ RowScales<M> row_scales(const unsigned char* step, int slot) const {
    return RowScales<M>(reinterpret_cast<const float*>(step + rowPlace) + slot * T::tileM);
  }

  /** The numbers of this lane's two columns of a fragment. */
  __device__ __forceinline__ float2 column_pair(const unsigned char* from, int n, bool halves) const {
    const int at = columnPair + n * 4;
    if (!halves) return reinterpret_cast<const float2*>(from)[at];
    const ushort2 h = reinterpret_cast<const ushort2*>(from)[at];
    return make_float2(half_to_float(h.x), half_to_float(h.y));
  }

  __device__ __forceinline__ float2 column_scales(const unsigned char* step, int slot, int n) const {
    const float2 stored = column_pair(step + layout.columnScales + slot * T::tileN * layout.columnBytes, n, p.halfScales);
    return make_float2(stored.x * p.unit, stored.y * p.unit);
  }

  /** P * s, where `begun` is -1.5 * 2^23 * s. */
  __device__ __forceinline__ static float scaled(int sum, float s, float begun) {
    return converts ? static_cast<float>(sum) * s : __fmaf_rn(__int_as_float(sum), s, begun);
  }

  /** Adds a block's product of 16 rows and 8 columns. */
  __device__ __forceinline__ void add_scaled(const int (&sums)[4], const RowScales<M>& rows, const float2& w, int m, int n) {
#pragma unroll
    for (int r = 0; r < 4; r++) {
      y[m][n][r] = __fmaf_rn(scaled(sums[r], rows.scale[m][r / 2], rows.begun[m][r / 2]), r % 2 == 0 ? w.x : w.y, y[m][n][r]);
    }
  }

  /** Multiplies and adds a block of known chunks, all of them in this step. Sums live from one fragment's first chunk to its last. */
  __device__ __forceinline__ void add_block(const unsigned char* step, int firstChunk, int slot) {
    constexpr int B = T::block == 0 ? 1 : T::block;
    uint32_t a[B][M][4];
#pragma unroll
    for (int c = 0; c < B; c++) {
#pragma unroll
      for (int m = 0; m < M; m++) read_activations(step, firstChunk + c, m, a[c][m]);
    }
    const RowScales<M> rows = row_scales(step, slot);
#pragma unroll
    for (int pair = 0; pair < N / 2; pair++) {
      uint32_t b[B][2][2];
#pragma unroll
      for (int c = 0; c < B; c++) read_weights(step, firstChunk + c, pair, b[c]);
#pragma unroll
      for (int each = 0; each < 2; each++) {
        const float2 w = column_scales(step, slot, 2 * pair + each);
        int sums[M][4];
#pragma unroll
        for (int c = 0; c < B; c++) {
#pragma unroll
          for (int m = 0; m < M; m++) {
            if (c == 0) {
#pragma unroll
              for (int r = 0; r < 4; r++) sums[m][r] = START;
            }
            mma_s8_16x8x32(sums[m], a[c][m], b[c][each]);
          }
        }
#pragma unroll
        for (int m = 0; m < M; m++) add_scaled(sums[m], rows, w, m, 2 * pair + each);
      }
    }
  }

  /** Writes fragment row `wanted` of every warp to the epilogue's tile. */
  __device__ __forceinline__ void store(float* tile, int wanted) const {
    float* at = tile + (warpRow / T::warpM * 16 + (lane >> 2)) * T::epilogueStride + warpColumn + (lane & 3) * 2;
    // Registers have no indices.
#pragma unroll
    for (int m = 0; m < M; m++) {
      if (m != wanted) continue;
#pragma unroll
      for (int n = 0; n < N; n++) {
        *reinterpret_cast<float2*>(at + n * 8) = make_float2(y[m][n][0], y[m][n][1]);
        *reinterpret_cast<float2*>(at + n * 8 + 8 * T::epilogueStride) = make_float2(y[m][n][2], y[m][n][3]);
      }
    }
  }
};

/** The sums of blocks of any length, which go on from step to step. */
template <class T, bool converts, bool shifted>
struct BlockSums {
  using Product = WarpProduct<T, converts, shifted>;
  static constexpr int M = Product::M, N = Product::N;
  int sums[M][N][4];
  int totals[M][4];

  __device__ __forceinline__ BlockSums() { begin(); }

  __device__ __forceinline__ void begin() {
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
      for (int r = 0; r < 4; r++) {
#pragma unroll
        for (int n = 0; n < N; n++) sums[m][n][r] = Product::START;
        totals[m][r] = Product::START;
      }
    }
  }

  __device__ __forceinline__ void multiply(const Product& product, const unsigned char* step, int chunk) {
    uint32_t b[N / 2][2][2];
#pragma unroll
    for (int pair = 0; pair < N / 2; pair++) product.read_weights(step, chunk, pair, b[pair]);
#pragma unroll
    for (int m = 0; m < M; m++) {
      uint32_t a[4];
      product.read_activations(step, chunk, m, a);
#pragma unroll
      for (int n = 0; n < N; n++) mma_s8_16x8x32(sums[m][n], a, b[n / 2][n % 2]);
      if constexpr (shifted) {
        const uint32_t ones[2] = {ONES, ONES};
        mma_s8_16x8x32(totals[m], a, ones);
      }
    }
  }

  /** Adds the block and begins the next. */
  __device__ __forceinline__ void finish(Product& product, const unsigned char* step, int slot) {
    const RowScales<M> rows = product.row_scales(step, slot);
#pragma unroll
    for (int n = 0; n < N; n++) {
      const float2 w = product.column_scales(step, slot, n);
#pragma unroll
      for (int m = 0; m < M; m++) product.add_scaled(sums[m][n], rows, w, m, n);
      if constexpr (shifted) {
        const float2 shift = product.column_pair(step + product.layout.shifts + slot * T::tileN * 4, n, false);
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
          for (int r = 0; r < 4; r++) {
            // Every column of ones has the same sum. What units stand for is in the columns' numbers: here none of weights, but 2^24.
            const float total = product.scaled(totals[m][r], rows.scale[m][r / 2], rows.begun[m][r / 2]) * SCALE_RESTORED;
            product.y[m][n][r] = __fmaf_rn(total, r % 2 == 0 ? shift.x : shift.y, product.y[m][n][r]);
          }
        }
      }
    }
    begin();
  }
};

/** Writes what the warps have summed: finished, or as one part of the depth. */
template <class T, class Product>
__device__ __forceinline__ void write_sums(const DsconvParams& p, const TilePlace& place, const Product& product, float* tile) {
#pragma unroll 1
  for (int m = 0; m < T::fragmentsM; m++) {
#ifndef MUTATION_10  // the tile is written while others read steps
    // The tile lies where steps were, and rows of the last turn.
    __syncthreads();
#endif
    product.store(tile, m);
    __syncthreads();
    write_rows<T>(p, place, tile, [&](int row) {
      const int pixel = place.firstPixel + row / 16 * T::warpM + m * 16 + row % 16;
      return pixel < p.pixels ? pixel : -1;
    });
  }
}

template <class T, bool converts, bool shifted>
__device__ __forceinline__ void dsconv2d_tile(const DsconvParams& p, unsigned char* shared) {
  const TilePlace place = TilePlace::of<T>(p);
  const int steps = (place.endChunk - place.firstChunk + T::chunks - 1) / T::chunks;
  StepLoader<T, shifted> loader(p, place.firstPixel, place.group, place.firstOutput, place.firstChunk);
  WarpProduct<T, converts, shifted> product(p);
  BlockSums<T, converts, shifted> blockSums;
  const int stepBytes = loader.layout.bytes;
  int within = place.firstChunk % p.groupChunks, inBlock = within % p.blockChunks;
  int reads = 0, writes = 0;
  // The first turns only fill the ring.
#pragma unroll 1
  for (int n = 1 - T::stages; n < steps; n++) {
    if (n >= 0) {
#ifndef MUTATION_4  // copies are not waited for
      cp_async_wait<T::stages - 2>();
#endif
#ifndef MUTATION_5  // nor are the other threads
      // The step is there for all, and all are through with the one before, whose place the next copies take.
      __syncthreads();
#endif
    }
    const int next = n + T::stages - 1;
    if (next < steps) loader.load(shared + writes * stepBytes);
    cp_async_commit();
#ifdef MUTATION_6  // the ring is one step shorter than the copies that are under way
    writes = writes + 2 >= T::stages ? 0 : writes + 1;
#else
    writes = writes + 1 == T::stages ? 0 : writes + 1;
#endif
    if (n < 0) continue;
    const unsigned char* step = shared + reads * stepBytes;
    const int chunks = place.endChunk - place.firstChunk - n * T::chunks;
    if (T::block == T::chunks) {
      product.add_block(step, 0, 0);
    } else {
#pragma unroll 1
      for (int chunk = 0; chunk < min(chunks, T::chunks); chunk++) {
        if (T::block == 1) {
#ifdef MUTATION_9  // all blocks of a step have the scales of the first
          product.add_block(step, chunk, 0);
#else
          product.add_block(step, chunk, chunk);
#endif
          continue;
        }
        blockSums.multiply(product, step, chunk);
        within++;
        inBlock++;
#ifdef MUTATION_7  // a short last block goes on in the next tap
        const bool tapEnds = false;
#else
        const bool tapEnds = within == p.groupChunks;
#endif
        if (tapEnds || inBlock == p.blockChunks) {
          blockSums.finish(product, step, chunk);
          inBlock = 0;
          if (tapEnds) within = 0;
        }
      }
    }
    reads = reads + 1 == T::stages ? 0 : reads + 1;
  }
  cp_async_wait<0>();
  write_sums<T>(p, place, product, reinterpret_cast<float*>(shared));
}
