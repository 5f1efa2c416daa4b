// The ring of steps in shared memory that dsconv2d multiplies from (dsconv_mma.cuh), and how it is filled.
//
// The depth of the product, tap by tap and block by block, is cut into chunks of 32, and a step is two or four chunks. A step in shared memory:
//
//     activations   a row for each pixel of the tile, 32 bytes of each chunk, gathered by tap; zeros where the window leaves the picture. The pieces of 16 bytes
//                   of a row are in such an order that eight rows of a fragment lie in different banks.
//     weights       words of fragments as they lie in memory (src/layout/pack-filter.ts)
//     row scales    of the step's blocks, [slot][row], 0 where the window leaves the picture
//     column scales of the step's blocks, [slot][column], float16 or float32; shifts likewise, float32
#pragma once
#include "dsconv_numbers.cuh"

/**
 * How a kernel cuts its work.
 *
 * @param m, n pixels and output channels of a block of threads
 * @param warpsM, warpsN warps that share them
 * @param blockChunks chunks of every block of the filter, or 0 where they are counted
 * @param stepChunks chunks of a step: two, or those of a block
 * @param stageCount steps in the ring
 */
template <int m, int n, int warpsM, int warpsN, int blockChunks, int stepChunks, int stageCount>
struct MmaTile {
  static constexpr int tileM = m, tileN = n, block = blockChunks, chunks = stepChunks, stages = stageCount;
  static constexpr int threads = 32 * warpsM * warpsN;
  static constexpr int warpM = m / warpsM, warpN = n / warpsN, acrossWarps = warpsN;
  /** Fragments of 16 rows and of 8 columns of a warp. */
  static constexpr int fragmentsM = warpM / 16, fragmentsN = warpN / 8;
  static_assert(fragmentsN % 2 == 0, "words of two fragments lie side by side");
  /** Scales of a step: of its one block, or of each chunk. Bytes of a row's. */
  static constexpr int slots = block == chunks ? 1 : chunks, scaleBytes = 4;
  static_assert(block == 0 || block == 1 || block == chunks, "a step is one block, or its chunks are known to be blocks, or they are counted");
  static_assert(slots == 1 || slots == 2, "threads find the slot they fill by their chunk");
  /** Pieces of 16 bytes of a row, and rows whose pieces a thread copies. */
  static constexpr int rowBytes = 32 * chunks, pieces = 2 * chunks, rowsPerThread = m * pieces / threads;
  static_assert(rowsPerThread * threads == m * pieces, "threads share the pieces of a step evenly");
  /** The epilogue's rows at a time, and their stride in floats: fragments are written without conflicts. */
  static constexpr int epilogueRows = 16 * warpsM, epilogueStride = n + 8;
};

/** The byte of a step where a piece of 16 bytes of the activations lies: 128 bytes, all banks, hold every piece of the rows that share them once. */
template <class T>
__device__ __forceinline__ int activation_place(int row, int piece) {
  const int order = T::chunks == 4 ? row & 7 : row >> 1 & 3;
  return row * T::rowBytes + (piece ^ order) * 16;
}

/** Where the parts of a step begin, in bytes. */
template <class T>
struct StepLayout {
  int weightBytes, columnBytes, rowScales, columnScales, shifts, bytes;
  __device__ __forceinline__ StepLayout(const DsconvParams& p, bool shifted) {
    // Of 16 outputs: 64 bytes for each bit and chunk.
    weightBytes = 64 * T::chunks * p.weightBits;
    columnBytes = p.halfScales ? 2 : 4;
    rowScales = T::tileM * T::rowBytes + T::tileN / 16 * weightBytes;
    columnScales = rowScales + T::slots * T::tileM * T::scaleBytes;
    shifts = columnScales + T::slots * T::tileN * columnBytes;
    bytes = shifts + (shifted ? T::slots * T::tileN * 4 : 0);
  }
};

/** Where the window of an output pixel begins. */
struct WindowCorner {
  int top, left;
  /** Input pixel of that corner, which may lie outside. */
  int pixel;

  __device__ __forceinline__ WindowCorner(const DsconvParams& p, int at) {
    const int column = at % p.outWidth, rows = at / p.outWidth, row = rows % p.outHeight;
    top = row * p.strideHeight - p.padTop;
    left = column * p.strideWidth - p.padLeft;
    pixel = (rows / p.outHeight * p.inHeight + top) * p.inWidth + left;
  }
};

/** The depth of a filter is filled up to multiples of so many chunks (src/layout/pack-filter.ts). */
constexpr int STEP_CHUNKS = 2;

/** Most taps in one direction, as bits of a half word. */
constexpr int MOST_TAPS = 16;

/**
 * What one thread copies: of each step, the same piece of rowsPerThread rows of activations, which is of one chunk, some scales of those rows, and pieces of the
 * rest. All that can be is found at the start; a step adds to offsets. Offsets are below 2^32, and those into
 * the image wrap where a window's corner is outside.
 */
template <class T, bool shifted>
struct StepLoader {
  /** Threads of a row that share its scales, for each slot, and rows whose scales each copies. */
  static constexpr int sharers = T::pieces / T::slots, scaleRows = T::rowsPerThread > sharers ? T::rowsPerThread / sharers : 1;
  /** Rows from one of a thread's to the next: whole turns of the order of pieces. */
  static constexpr int rowStep = T::threads / T::pieces;
  static_assert(rowStep % 8 == 0, "the order of pieces is that of the first row");
  /** Bytes from one of the scales that a thread copies to the next. */
  static constexpr int scaleStep = sharers * rowStep * T::scaleBytes;
  /** Whether a step may be longer than what the filter's depth is filled up to. */
  static constexpr bool overruns = T::chunks > STEP_CHUNKS && T::block != T::chunks;

  const DsconvParams& p;
  const StepLayout<T> layout;
  /** Where this thread's chunk of the next step is: tap, chunk of the tap, block, chunk of the block. */
  int kh, kw, within, block, inBlock;
  /** Of each row: its piece at tap (0, 0), and which taps lie inside, rows of taps in the lower half and columns in the upper. */
  unsigned offset[T::rowsPerThread], taps[T::rowsPerThread];
  unsigned scaleOffset[scaleRows];
  /** What the tap adds to offsets, and for which rows it is inside, a bit for each. */
  unsigned tapOffset, tapScaleOffset, inside;
  /** Of weights and column scales in bytes, of shifts in numbers, from the filter's own beginnings. */
  unsigned weightOffset, columnOffset, shiftOffset;
  /** Pairs of fragments from the first this thread copies of to the group's last; rows of scales to the last, 0 for columns that do not exist. */
  int pairsLeft, columnRows, shiftRows;
  /** Chunks from those of this thread's pieces to the end of the depth, where a step may pass it. */
  int chunksLeft;
  /** Where in a step this thread's first pieces lie, in bytes; -1 for none. */
  int place, scalePlace, columnPlace, shiftPlace;
  int scaleRow;

  __device__ __forceinline__ StepLoader(const DsconvParams& params, int firstPixel, int group, int firstOutput, int firstChunk)
      : p(params), layout(params, shifted) {
    const int piece = static_cast<int>(threadIdx.x) % T::pieces, row = static_cast<int>(threadIdx.x) / T::pieces;
    const int chunk = firstChunk + piece / 2;
    const int tap = chunk / p.groupChunks;
    kh = tap / p.kernelWidth;
    kw = tap - kh * p.kernelWidth;
    within = chunk - tap * p.groupChunks;
    block = within / p.blockChunks;
    inBlock = within - block * p.blockChunks;
    place = activation_place<T>(row, piece);
#pragma unroll
    for (int n = 0; n < T::rowsPerThread; n++) {
      const int at = firstPixel + row + n * rowStep;
      const WindowCorner corner(p, at);
      offset[n] = static_cast<unsigned>(corner.pixel) * p.pixelBytes + group * p.groupBytes + (piece & 1) * 16;
      taps[n] = 0;
      // Rows behind the last pixel have no taps.
      if (at >= p.pixels) continue;
      for (int k = 0; k < p.kernelHeight; k++) {
        taps[n] |= static_cast<unsigned>(static_cast<unsigned>(corner.top + k * p.dilationHeight) < static_cast<unsigned>(p.inHeight)) << k;
      }
      for (int k = 0; k < p.kernelWidth; k++) {
        taps[n] |= static_cast<unsigned>(static_cast<unsigned>(corner.left + k * p.dilationWidth) < static_cast<unsigned>(p.inWidth)) << (MOST_TAPS + k);
      }
    }
    // A thread has the scales of every row whose number among the thread's own is its place among the sharers.
    scaleRow = piece % sharers;
    const int slot = piece / sharers;
    scalePlace = layout.rowScales + (slot * T::tileM + row + scaleRow * rowStep) * T::scaleBytes;
#pragma unroll
    for (int n = 0; n < scaleRows; n++) {
      const WindowCorner corner(p, firstPixel + row + (scaleRow + n * sharers) * rowStep);
      scaleOffset[n] = static_cast<unsigned>(corner.pixel) * (p.groups * p.blocks) + group * p.blocks;
    }
    begin_weights(group, firstOutput, firstChunk);
    begin_columns(group, firstOutput, tap * p.blocks + block, piece);
    find_tap();
  }

  __device__ __forceinline__ void find_tap() {
    tapOffset = static_cast<unsigned>(kh * p.dilationHeight * p.inWidth + kw * p.dilationWidth);
    tapScaleOffset = tapOffset * (p.groups * p.blocks);
    tapOffset *= p.pixelBytes;
    inside = 0;
#pragma unroll
    for (int n = 0; n < T::rowsPerThread; n++) inside |= (taps[n] >> kh & taps[n] >> (MOST_TAPS + kw) & 1u) << n;
    // Behind the last tap nothing is inside.
    if (kh >= p.kernelHeight) inside = 0;
  }

  /** Whether a copy of what may be padding copies, rather than writes zeros. */
  __device__ __forceinline__ static bool fills(bool valid) {
#ifdef MUTATION_1  // padding is the first pixel, not zeros
    return valid || true;
#else
    return valid;
#endif
  }

  /**
   * Begins the copies of the next step. What is not valid is not read, wherever it would be.
   *
   * @param bits of weights, or 0 where they are those of the call
   */
  template <int bits = 0>
  __device__ __forceinline__ void load(unsigned char* step) {
    const unsigned add = tapOffset + within * 32;
#pragma unroll
    for (int n = 0; n < T::rowsPerThread; n++) {
      cp_async16(step + place + n * rowStep * T::rowBytes, p.mantissas + (offset[n] + add), fills(inside >> n & 1));
    }
    if (scaleRow < T::rowsPerThread) {
      const unsigned scaleAdd = tapScaleOffset + block;
#pragma unroll
      for (int n = 0; n < scaleRows; n++) {
        cp_async4(step + scalePlace + n * scaleStep, p.scales + (scaleOffset[n] + scaleAdd), fills(inside >> (scaleRow + n * sharers) & 1));
      }
    }
    load_weights<bits>(step);
    load_columns(step);
    advance();
  }

  /** Of a step whose copies have arrived: writes what the sums of this thread's rows begin with, scaled, beside the scales. */
  __device__ __forceinline__ void scale_beginnings(unsigned char* step) const {
    static_assert(T::scaleBytes == 8, "there is a place beside each scale");
    if (scaleRow >= T::rowsPerThread) return;
#pragma unroll
    for (int n = 0; n < scaleRows; n++) {
      float* at = reinterpret_cast<float*>(step + scalePlace + n * scaleStep);
      at[1] = at[0] * -MAGIC_VALUE;
    }
  }

  /** Pieces of 16 bytes of a pair of fragments in a step, as a power of two. */
  __device__ __forceinline__ static constexpr int piece_bits(int weightBits) { return (weightBits == 8 ? 5 : weightBits == 4 ? 4 : 3) + T::chunks / 2; }
  __device__ __forceinline__ unsigned pair_bytes() const { return static_cast<unsigned>(p.paddedChunks) * (64 * p.weightBits); }

  __device__ __forceinline__ void begin_weights(int group, int firstOutput, int firstChunk) {
    const int pairs = p.paddedOutputs / 16, bits = piece_bits(p.weightBits);
    const int pair = firstOutput / 16 + (static_cast<int>(threadIdx.x) >> bits);
    pairsLeft = pairs - pair;
    // Pieces of two chunks lie together: with 2 bits those share words.
    if constexpr (overruns) chunksLeft = p.paddedChunks - firstChunk - ((static_cast<int>(threadIdx.x) >> (bits - T::chunks / 4)) & 1) * STEP_CHUNKS;
    weightOffset = (group * pairs + min(pair, pairs - 1)) * pair_bytes() + firstChunk * (64 * p.weightBits) + (threadIdx.x & ((1 << bits) - 1)) * 16;
  }

  template <int weightBits>
  __device__ __forceinline__ void load_weights(unsigned char* step) {
    unsigned char* to = step + T::tileM * T::rowBytes + threadIdx.x * 16;
    const unsigned char* weights = static_cast<const unsigned char*>(p.weights);
    if constexpr (weightBits > 0) {
      constexpr int bits = piece_bits(weightBits), pieces = T::tileN / 16 << bits, pairStep = T::threads >> bits;
#pragma unroll
      for (int n = 0; n < pieces; n += T::threads) {
        if (pieces < T::threads && static_cast<int>(threadIdx.x) >= pieces) break;
        const int pairs = n / T::threads * pairStep;
        cp_async16(to + n * 16, weights + (weightOffset + pairs * pair_bytes()), pairsLeft > pairs && (!overruns || chunksLeft > 0));
      }
    } else {
      const int bits = piece_bits(p.weightBits), pairStep = T::threads >> bits;
      unsigned from = weightOffset;
      int left = pairsLeft;
#pragma unroll 1
      for (int n = threadIdx.x; n < T::tileN / 16 << bits; n += T::threads) {
        cp_async16(to, weights + from, left > 0);
        to += T::threads * 16;
        left -= pairStep;
#ifndef MUTATION_8  // all pairs of fragments are the first
        from += pairStep * pair_bytes();
#endif
      }
    }
    weightOffset += layout.weightBytes;
    if constexpr (overruns) chunksLeft -= T::chunks;
  }

  /** Scales and shifts of the columns, 16 bytes by each of the first threads of a slot. */
  __device__ __forceinline__ void begin_columns(int group, int firstOutput, int row, int piece) {
    static_assert(T::threads / T::slots >= T::tileN / 4, "every piece has a thread");
    const int slot = piece / sharers;
    const int rank = static_cast<int>(threadIdx.x) / T::pieces * sharers + piece % sharers;
    const int rows = p.kernelHeight * p.kernelWidth * p.blocks;
    const int column = rank * (16 / layout.columnBytes), output = firstOutput + column;
    columnPlace = column < T::tileN ? layout.columnScales + (slot * T::tileN + column) * layout.columnBytes : -1;
    columnRows = output < p.paddedOutputs ? rows - row : 0;
    const unsigned first = group * p.scaleRows + (p.scaleRows == 1 ? 0 : row);
    columnOffset = (first * p.paddedOutputs + output) * layout.columnBytes;
    if constexpr (shifted) {
      const int shift = rank * 4;
      shiftPlace = shift < T::tileN ? layout.shifts + (slot * T::tileN + shift) * 4 : -1;
      shiftRows = firstOutput + shift < p.paddedOutputs ? rows - row : 0;
      shiftOffset = (static_cast<unsigned>(group) * rows + row) * p.paddedOutputs + firstOutput + shift;
    }
  }

  __device__ __forceinline__ void load_columns(unsigned char* step) const {
    if (columnPlace >= 0) {
      const bool valid = columnRows > 0;
      cp_async16(step + columnPlace, static_cast<const unsigned char*>(p.weightScales) + columnOffset, valid);
    }
    if constexpr (shifted) {
      if (shiftPlace >= 0) {
        const bool valid = shiftRows > 0;
        cp_async16(step + shiftPlace, p.shifts + shiftOffset, valid);
      }
    }
  }

  /** Goes to this thread's chunk of the next step. */
  __device__ __forceinline__ void advance() {
    if constexpr (T::block > 0) {
      // Whole blocks: a thread's chunk stays at its place in them.
      within += T::chunks;
      next_blocks(T::slots);
      if (within < p.groupChunks) return;
#pragma unroll 1
      while (within >= p.groupChunks) next_tap();
      block = within / T::block;
    } else {
      bool moved = false;
#pragma unroll
      for (int n = 0; n < T::chunks; n++) {
        within++;
        inBlock++;
        const bool ends = within == p.groupChunks;
        if (ends || inBlock == p.blockChunks) {
          inBlock = 0;
          next_blocks(1);
        }
        if (ends) {
          next_tap();
          block = 0;
        }
        moved |= ends;
      }
      if (!moved) return;
    }
    find_tap();
  }

  __device__ __forceinline__ void next_blocks(int count) {
    block += count;
    columnRows -= count;
    if (p.scaleRows > 1) columnOffset += count * p.paddedOutputs * layout.columnBytes;
    if constexpr (shifted) {
      shiftRows -= count;
      shiftOffset += count * p.paddedOutputs;
    }
  }

  __device__ __forceinline__ void next_tap() {
    // A step may end a tap and begin the next, and a thread's chunk need not be its first.
    within -= p.groupChunks;
    if (++kw == p.kernelWidth) {
      kw = 0;
      kh++;
    }
  }
};
