// dsconv2d as a product of matrices on integer tensor cores: pixels by (tap, depth) times (tap, depth) by output channels.
//
// A block of threads computes tileM output pixels by tileN output channels of one group. It goes through the depth in steps of two chunks of 32 depths of one tap
// each; a ring of `stages` steps in shared memory is filled by asynchronous copies while older steps are multiplied. A step in shared memory:
//
//     activations   tileM rows of 64 bytes, gathered pixel by pixel, zeros where the window leaves the picture. The four pieces of 16 bytes of row r are at
//                   places piece ^ (r / 2 % 4), so that eight rows of a fragment lie in different banks.
//     weights       words of fragments as they lie in memory (src/layout/pack-filter.ts)
//     row scales    of each chunk's block, [chunk][row], 0 where the window leaves the picture
//     column scales of each chunk's block, [chunk][column], float16 or float32; shifts likewise
//
// Scaling at the end of a block: accumulators begin with the bits of 1.5 * 2^23, where one unit in the last place is 1, so that the accumulator read as float32
// is F = 1.5 * 2^23 + P while |P| < 2^22. A row scale s is a power of two, hence F * s - 1.5 * 2^23 * s = P * s is one exact operation, and the second adds it
// times the column's scale. Row scales are stored times 2^-24, so that 1.5 * 2^23 * s is finite for every finite activation; the columns' carry 2^24.
// Where |P| may reach 2^22 (more than 258 depths at 8 bits) accumulators begin with 0 and are converted (`converts`).
#pragma once
#include "dsconv_numbers.cuh"
#include "epilogue.cuh"

constexpr int MAGIC = 0x4b400000;
constexpr float MAGIC_VALUE = 12582912.0f;
/** ΣM of a block, with columns of ones. */
constexpr uint32_t ONES = 0x01010101u;

/** How a kernel cuts its tile into warps. */
template <int m, int n, int warpsM, int warpsN, int stageCount>
struct MmaTile {
  static constexpr int tileM = m, tileN = n, stages = stageCount;
  static constexpr int threads = 32 * warpsM * warpsN;
  static constexpr int warpM = m / warpsM, warpN = n / warpsN, acrossWarps = warpsN;
  /** Fragments of 16 rows and of 8 columns of a warp. */
  static constexpr int fragmentsM = warpM / 16, fragmentsN = warpN / 8;
  static_assert(fragmentsN % 2 == 0, "words of two fragments lie side by side");
  /** Rows whose pieces a thread copies. */
  static constexpr int rowsPerThread = m * 4 / threads;
  static_assert(rowsPerThread * threads == m * 4, "threads share the pieces of a step evenly");
  /** The epilogue's rows at a time, and their stride in floats: fragments are written without conflicts. */
  static constexpr int epilogueRows = 16 * warpsM, epilogueStride = n + 8;
};

/** The byte of a step where a piece of 16 bytes of the activations lies. */
__device__ __forceinline__ int activation_place(int row, int piece) {
#ifdef MUTATION_SWIZZLE
  // The pieces of odd pairs of rows lie elsewhere than they are read from.
  return row * 64 + (piece ^ (row & 3)) * 16;
#else
  return row * 64 + (piece ^ (row >> 1 & 3)) * 16;
#endif
}

/** Where the parts of a step begin, in bytes. */
template <class T>
struct StepLayout {
  int weightBytes, columnBytes, rowScales, columnScales, shifts, bytes;
  __device__ __forceinline__ StepLayout(const DsconvParams& p, bool shifted) {
    // Two chunks of 16 outputs.
    weightBytes = 128 * p.weightBits;
    columnBytes = p.halfScales ? 2 : 4;
    rowScales = T::tileM * 64 + T::tileN / 16 * weightBytes;
    columnScales = rowScales + 2 * T::tileM * 4;
    shifts = columnScales + 2 * T::tileN * columnBytes;
    bytes = shifts + (shifted ? 2 * T::tileN * 4 : 0);
  }
};

/**
 * What one thread copies: of each step, pieces of rowsPerThread rows of activations, all in the chunk `half` of the step, and pieces of the rest. It counts taps
 * and blocks as it goes and divides only at the start.
 */
template <class T, bool shifted>
struct StepLoader {
  const DsconvParams& p;
  const StepLayout<T> layout;
  int piece, half, group, firstOutput;
  /** Where this thread's half of the next step is: tap, chunk of the tap, block, chunk of the block, row of scales. */
  int kh, kw, within, block, inBlock, scaleRow;
  int top[T::rowsPerThread], left[T::rowsPerThread], picture[T::rowsPerThread];
  const int8_t* from[T::rowsPerThread];
  const float* scaleFrom[T::rowsPerThread];
  unsigned inside;

  __device__ __forceinline__ StepLoader(const DsconvParams& params, int firstPixel, int group_, int firstOutput_, int firstChunk)
      : p(params), layout(params, shifted), group(group_), firstOutput(firstOutput_) {
    piece = threadIdx.x & 3;
    half = piece >> 1;
    const int chunk = firstChunk + half;
    const int tap = chunk / p.groupChunks;
    kh = tap / p.kernelWidth;
    kw = tap - kh * p.kernelWidth;
    within = chunk - tap * p.groupChunks;
    block = within / p.blockChunks;
    inBlock = within - block * p.blockChunks;
    scaleRow = tap * p.blocks + block;
    for (int n = 0; n < T::rowsPerThread; n++) {
      const int pixel = firstPixel + row_of(n);
      const int column = pixel % p.outWidth, rows = pixel / p.outWidth, row = rows % p.outHeight;
      // Rows behind the last pixel are outside of every picture.
      top[n] = pixel < p.pixels ? row * p.strideHeight - p.padTop : -(1 << 30);
      left[n] = column * p.strideWidth - p.padLeft;
      picture[n] = rows / p.outHeight * (p.inHeight * p.inWidth);
    }
    find_pixels();
  }

  __device__ __forceinline__ static int row_of(int n) { return static_cast<int>(threadIdx.x >> 2) + n * (T::threads / 4); }

  /** The input pixels that the tap reads for this thread's rows. */
  __device__ __forceinline__ void find_pixels() {
    inside = 0;
    for (int n = 0; n < T::rowsPerThread; n++) {
      const int h = top[n] + kh * p.dilationHeight, w = left[n] + kw * p.dilationWidth;
      const bool valid = kh < p.kernelHeight && static_cast<unsigned>(h) < static_cast<unsigned>(p.inHeight) &&
                         static_cast<unsigned>(w) < static_cast<unsigned>(p.inWidth);
      const size_t pixel = valid ? picture[n] + h * p.inWidth + w : 0;
      from[n] = p.mantissas + pixel * p.pixelBytes + group * p.groupBytes + (piece & 1) * 16;
      scaleFrom[n] = p.scales + pixel * (p.groups * p.blocks) + group * p.blocks;
      inside |= static_cast<unsigned>(valid) << n;
    }
  }

  /** Begins the copies of the next step. */
  __device__ __forceinline__ void load(unsigned char* step, int stepNumber) {
    for (int n = 0; n < T::rowsPerThread; n++) {
#ifdef MUTATION_ZERO_FILL
      const bool valid = true;
#else
      const bool valid = inside >> n & 1;
#endif
      // Behind the last chunk nothing is inside, but the pointers stay where they are.
      cp_async16(step + activation_place(row_of(n), piece), from[n] + (valid ? within * 32 : 0), valid);
      if ((piece & 1) == 0) {
        cp_async4(step + layout.rowScales + (half * T::tileM + row_of(n)) * 4, scaleFrom[n] + (valid ? block : 0), valid);
      }
    }
    load_weights(step, stepNumber);
    load_columns(step);
    // Two chunks further.
    const bool moved = advance();
    if (advance() || moved) find_pixels();
  }

  __device__ __forceinline__ void load_weights(unsigned char* step, int stepNumber) const {
    const int pairs = p.paddedOutputs / 16, firstPair = firstOutput / 16;
    // 8 pieces of 16 bytes per bit.
    const int shift = p.weightBits == 8 ? 6 : p.weightBits == 4 ? 5 : 4;
    const size_t pairBytes = static_cast<size_t>(p.paddedChunks / 2) * layout.weightBytes;
    const unsigned char* weights = static_cast<const unsigned char*>(p.weights) + static_cast<size_t>(stepNumber) * layout.weightBytes;
    for (int n = threadIdx.x; n < T::tileN / 16 << shift; n += T::threads) {
      const int pair = firstPair + (n >> shift);
#ifdef MUTATION_TAIL
      const bool valid = true;
#else
      const bool valid = pair < pairs;
#endif
      const size_t row = static_cast<size_t>(group) * pairs + (valid ? pair : 0);
      cp_async16(step + T::tileM * 64 + n * 16, weights + row * pairBytes + (n & ((1 << shift) - 1)) * 16, valid);
    }
  }

  /** Scales and shifts of the columns, by the threads that count this chunk. */
  __device__ __forceinline__ void load_columns(unsigned char* step) const {
    const int rank = static_cast<int>(threadIdx.x >> 2) * 2 + (piece & 1);
    const int rows = p.kernelHeight * p.kernelWidth * p.blocks;
    const bool exists = scaleRow < rows;
    const int row = exists ? scaleRow : 0;
    const int perPiece = 16 / layout.columnBytes;
    for (int n = rank; n < T::tileN / perPiece; n += T::threads / 2) {
      const bool valid = exists && firstOutput + n * perPiece < p.paddedOutputs;
      const size_t at = (static_cast<size_t>(group) * p.scaleRows + (p.scaleRows == 1 ? 0 : row)) * p.paddedOutputs;
      const unsigned char* scales = static_cast<const unsigned char*>(p.weightScales) + (at + (valid ? firstOutput + n * perPiece : 0)) * layout.columnBytes;
      cp_async16(step + layout.columnScales + half * T::tileN * layout.columnBytes + n * 16, scales, valid);
    }
    if (!shifted) return;
    for (int n = rank; n < T::tileN / 4; n += T::threads / 2) {
      const bool valid = exists && firstOutput + n * 4 < p.paddedOutputs;
      const float* shifts = p.shifts + (static_cast<size_t>(group) * rows + row) * p.paddedOutputs + (valid ? firstOutput + n * 4 : 0);
      cp_async16(step + layout.shifts + half * T::tileN * 4 + n * 16, shifts, valid);
    }
  }

  /** Goes to the next chunk; true where that is another tap's. */
  __device__ __forceinline__ bool advance() {
    within++;
    inBlock++;
    const bool tapEnds = within == p.groupChunks;
    if (tapEnds) {
      within = inBlock = block = 0;
      scaleRow++;
      if (++kw == p.kernelWidth) {
        kw = 0;
        kh++;
      }
    } else if (inBlock == p.blockChunks) {
      inBlock = 0;
      block++;
      scaleRow++;
    }
    return tapEnds;
  }
};

/** The products of one warp. */
template <class T, bool converts, bool shifted>
struct WarpProduct {
  static constexpr int M = T::fragmentsM, N = T::fragmentsN;
  const DsconvParams& p;
  const StepLayout<T> layout;
  int lane, warpRow, warpColumn;
  /** Places of this lane's rows for ldmatrix, for the first chunk; the second is 32 bytes further, which the swizzle makes an exclusive or. */
  int fragmentPlace;
  int sums[M][N][4];
  int totals[M][4];
  float y[M][N][4];

  __device__ __forceinline__ explicit WarpProduct(const DsconvParams& params) : p(params), layout(params, shifted) {
    lane = threadIdx.x & 31;
    const int warp = threadIdx.x >> 5;
    warpRow = warp / T::acrossWarps * T::warpM;
    warpColumn = warp % T::acrossWarps * T::warpN;
    fragmentPlace = activation_place(warpRow + (lane & 7) + (lane >> 3 & 1) * 8, lane >> 4);
    for (int m = 0; m < M; m++) {
      for (int n = 0; n < N; n++) {
        for (int r = 0; r < 4; r++) y[m][n][r] = 0.0f;
      }
    }
  }

  /** The weights of a chunk as signed bytes in fragments. */
  __device__ __forceinline__ void read_weights(const unsigned char* step, int half, uint32_t (&b)[N][2]) const {
    const unsigned char* words = step + T::tileM * 64 + warpColumn / 16 * layout.weightBytes;
    for (int n = 0; n < N; n += 2) {
      const unsigned char* pair = words + n / 2 * layout.weightBytes;
      if (p.weightBits == 8) {
        const uint4 w = reinterpret_cast<const uint4*>(pair + half * 512)[lane];
        b[n][0] = w.x, b[n][1] = w.y, b[n + 1][0] = w.z, b[n + 1][1] = w.w;
      } else if (p.weightBits == 4) {
        const uint2 w = reinterpret_cast<const uint2*>(pair + half * 256)[lane];
        b[n][0] = w.x & 0xf0f0f0f0u, b[n][1] = w.x << 4 & 0xf0f0f0f0u;
        b[n + 1][0] = w.y & 0xf0f0f0f0u, b[n + 1][1] = w.y << 4 & 0xf0f0f0f0u;
      } else {
        const uint2 w = reinterpret_cast<const uint2*>(pair)[lane];
        const int by = 4 * half;
        b[n][0] = w.x << by & 0xc0c0c0c0u, b[n][1] = w.x << (by + 2) & 0xc0c0c0c0u;
        b[n + 1][0] = w.y << by & 0xc0c0c0c0u, b[n + 1][1] = w.y << (by + 2) & 0xc0c0c0c0u;
      }
#ifdef MUTATION_FRAGMENT
      const uint32_t swapped = b[n][0];
      b[n][0] = b[n][1], b[n][1] = swapped;
#endif
    }
  }

  /** Multiplies a chunk; `first` of its block. */
  __device__ __forceinline__ void multiply(const unsigned char* step, int half, bool first) {
    uint32_t b[N][2];
    read_weights(step, half, b);
    const unsigned char* rows = step + (fragmentPlace ^ half * 32);
    const int start = converts ? 0 : MAGIC;
    for (int m = 0; m < M; m++) {
      uint32_t a[4];
      ldmatrix_x4(a, rows + m * 1024);
      for (int n = 0; n < N; n++) {
        if (first) {
          for (int r = 0; r < 4; r++) sums[m][n][r] = start;
        }
        mma_s8_16x8x32(sums[m][n], a, b[n]);
      }
      if (shifted) {
        const uint32_t ones[2] = {ONES, ONES};
        if (first) {
          for (int r = 0; r < 4; r++) totals[m][r] = start;
        }
        mma_s8_16x8x32(totals[m], a, ones);
      }
    }
  }

  /** A column's scale or shift and that of the next column. */
  __device__ __forceinline__ float2 column_pair(const unsigned char* from, int column, bool halves) const {
    if (!halves) return reinterpret_cast<const float2*>(from)[column / 2];
    const ushort2 h = reinterpret_cast<const ushort2*>(from)[column / 2];
    return make_float2(half_to_float(h.x), half_to_float(h.y));
  }

  /** P * s, where `begun` is -1.5 * 2^23 * s. */
  __device__ __forceinline__ static float scaled(int sum, float s, float begun) {
    return converts ? static_cast<float>(sum) * s : __fmaf_rn(__int_as_float(sum), s, begun);
  }

  /** Adds a block's products, scaled. */
  __device__ __forceinline__ void finish_block(const unsigned char* step, int half) {
    const float* rowScales = reinterpret_cast<const float*>(step + layout.rowScales) + half * T::tileM + warpRow + (lane >> 2);
    const unsigned char* columnScales = step + layout.columnScales + half * T::tileN * layout.columnBytes;
    float s[M][2], begun[M][2];
    for (int m = 0; m < M; m++) {
      for (int r = 0; r < 2; r++) {
        s[m][r] = rowScales[m * 16 + r * 8];
        begun[m][r] = s[m][r] * -MAGIC_VALUE;
      }
    }
    for (int n = 0; n < N; n++) {
      const int column = warpColumn + n * 8 + (lane & 3) * 2;
      const float2 stored = column_pair(columnScales, column, p.halfScales);
      const float w[2] = {stored.x * p.unit, stored.y * p.unit};
      for (int m = 0; m < M; m++) {
        for (int r = 0; r < 4; r++) {
          y[m][n][r] = __fmaf_rn(scaled(sums[m][n][r], s[m][r >> 1], begun[m][r >> 1]), w[r & 1], y[m][n][r]);
        }
      }
      if (shifted) {
        const float2 shift = column_pair(step + layout.shifts + half * T::tileN * 4, column, false);
        for (int m = 0; m < M; m++) {
          for (int r = 0; r < 2; r++) {
            // Every column of ones has the same sum.
            const float total = scaled(totals[m][2 * r], s[m][r], begun[m][r]) * SCALE_RESTORED;
            y[m][n][2 * r] = __fmaf_rn(total, shift.x, y[m][n][2 * r]);
            y[m][n][2 * r + 1] = __fmaf_rn(total, shift.y, y[m][n][2 * r + 1]);
          }
        }
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

/** A tile of the kernel's grid: x counts tiles of pixels, y tiles of channels, group by group, z parts of the depth. */
template <class T, bool converts, bool shifted>
__device__ __forceinline__ void dsconv2d_tile(const DsconvParams& p, unsigned char* shared) {
  const int firstPixel = static_cast<int>(blockIdx.x) * T::tileM;
  const int tiles = (p.groupOutputs + T::tileN - 1) / T::tileN;
  const int group = static_cast<int>(blockIdx.y) / tiles;
  const int firstOutput = (static_cast<int>(blockIdx.y) - group * tiles) * T::tileN;
  const int firstChunk = static_cast<int>(blockIdx.z) * p.splitChunks;
  const int endChunk = min(firstChunk + p.splitChunks, p.chunks);
  const int steps = (endChunk - firstChunk + 1) / 2;
  StepLoader<T, shifted> loader(p, firstPixel, group, firstOutput, firstChunk);
  WarpProduct<T, converts, shifted> product(p);
  const int stepBytes = loader.layout.bytes;
  int within = firstChunk % p.groupChunks, inBlock = within % p.blockChunks;
  int reads = 0, writes = 0;
  // The first turns only fill the ring.
#pragma unroll 1
  for (int n = 1 - T::stages; n < steps; n++) {
    if (n >= 0) {
#ifndef MUTATION_WAIT
      cp_async_wait<T::stages - 2>();
#endif
#ifndef MUTATION_BARRIER
      // The step is there for all, and all are through with the one before, whose place the next copies take.
      __syncthreads();
#endif
    }
    const int next = n + T::stages - 1;
    if (next < steps) loader.load(shared + writes * stepBytes, firstChunk / 2 + next);
    cp_async_commit();
#ifdef MUTATION_OVERWRITE
    writes = writes + 2 >= T::stages ? 0 : writes + 1;
#else
    writes = writes + 1 == T::stages ? 0 : writes + 1;
#endif
    if (n < 0) continue;
    const unsigned char* step = shared + reads * stepBytes;
    for (int half = 0; half < 2; half++) {
      if (firstChunk + 2 * n + half >= endChunk) break;
      product.multiply(step, half, inBlock == 0);
      within++;
      inBlock++;
      const bool last = within == p.groupChunks;
      if (last || inBlock == p.blockChunks) {
        product.finish_block(step, half);
        inBlock = 0;
        if (last) within = 0;
      }
    }
    reads = reads + 1 == T::stages ? 0 : reads + 1;
  }
  cp_async_wait<0>();
  float* tile = reinterpret_cast<float*>(shared);
#pragma unroll 1
  for (int m = 0; m < T::fragmentsM; m++) {
    // The tile lies where steps were, and rows of the last turn.
    __syncthreads();
    product.store(tile, m);
    __syncthreads();
    const auto pixel_of = [&](int row) {
      const int pixel = firstPixel + row / 16 * T::warpM + m * 16 + row % 16;
      return pixel < p.pixels ? pixel : -1;
    };
    if (p.splits == 1) {
      write_tile<T::tileN>(p, tile, T::epilogueStride, T::epilogueRows, group, firstOutput, pixel_of);
      continue;
    }
    const size_t width = static_cast<size_t>(p.groups) * p.paddedOutputs;
    float* partial = p.partial + blockIdx.z * width * p.pixels + static_cast<size_t>(group) * p.paddedOutputs + firstOutput;
    for (int at = threadIdx.x * 4; at < T::epilogueRows * T::tileN; at += T::threads * 4) {
      const int row = at / T::tileN, column = at % T::tileN, pixel = pixel_of(row);
      if (pixel < 0 || firstOutput + column >= p.paddedOutputs) continue;
      *reinterpret_cast<float4*>(partial + pixel * width + column) = *reinterpret_cast<const float4*>(tile + row * T::epilogueStride + column);
    }
  }
}
