// The table of functions one instruction set provides. Names follow dsconv2d_<tile>__<isa>. Drivers are compiled once and call through it.
#pragma once

#include "common.h"
#include "image.h"

namespace dsconv {

constexpr int kTileRows = 6;       // output pixels of a tile
constexpr int kTileChannels = 32;  // output channels of a tile; the last tile of a group may be 16 wide
constexpr int kLaneChannels = 16;  // channels of one 64-byte weight vector

// What a tile reads for one tap: rows beyond the last output pixel repeat it, padding points to the zero row.
struct TapRows {
  const int8_t* x[kTileRows];            // mantissas at the group's first channel
  const BlockRecord* record[kTileRows];  // at the group's first block
  size_t tap;
};

// Up to 6 output pixels by a run of channel tiles of one group, over all given taps and all blocks.
struct TileArgs {
  const TapRows* taps;
  int tap_count;
  int count;                  // output pixels, 1..6
  int vectors;                // 16-channel vectors, all tiles of the run together: tiles are 2 wide, the last may be 1
  const uint8_t* weights;     // of the first tile, tap 0
  const float* scales;        // of the first tile, tap 0, [tap][block][16 * vectors of the tile]; null: none (per channel)
  const float* shifts;        // as scales, or null
  const BlockRecord* records; // base that sums are parallel to
  const float* sums;          // scale * ΣM, or null
  size_t vector_weights;      // bytes of weights of one vector column over all taps; a tap of it:
  size_t tap_weights;
  size_t vector_scales, tap_scales;  // the same in floats
  int blocks, steps, last_steps;     // weight vectors of one column a block
  int block;                  // depths a block
  bool plain;
  float* out;                 // [count][ldo], float sums without epilogue
  size_t ldo;
};

// Pixels that follow each other, and whose rows in the input do: more than the tile's own.
struct PixelRun {
  int64_t pixels;
  size_t stride, entries;  // of the input, from one pixel to the next
};

// Rows of float sums to their final values: v = activation(v * scale + bias + residual).
struct EpilogueArgs {
  float* tile;  // [rows][ld], in place
  size_t ld;
  int rows, channels;
  const float *scale, *bias, *alphas;  // at the first channel, or null; readable to a multiple of 16
  const float* residual[kTileRows];    // rows of f32 at the first channel
  bool has_residual;
  int activation;
  float alpha;
};

// Quantizes `rows` runs of `length` floats (one block each) and writes mantissas and records.
struct QuantizeArgs {
  const float* source;  // [rows][ld]
  size_t ld;
  int rows, length;
  int8_t* mantissas[kTileRows];
  BlockRecord* records[kTileRows];
  float* sums[kTileRows];  // or null
  int mantissa, storage;
  bool plain;
};

// Epilogue and quantization of 6 rows for the common case: one image sink in the magic form, whole blocks of 32, 64 or 128 channels. In two
// halves, so that the next tile's products hide the latency of the maximum over a block: the first ends with the largest magnitudes, the
// second writes mantissas and records.
struct FinishSpec {
  int block;
  const float *scale, *bias;  // or null
  float lower, upper;         // clamp: relu 0, linear -infinity; upper: infinity or 6
  bool has_f32;
  int residual_kind;          // 0 none, 1 f32, 2 image of the same blocks in the magic form
  int mantissa, storage;
};
// Pointers to channel 0 of each pixel; those of rows beyond `rows` repeat the last.
struct FinishRows {
  int rows;
  const float* residual[kTileRows];
  const int8_t* residual_x[kTileRows];
  const BlockRecord* residual_record[kTileRows];
  int8_t* mantissas[kTileRows];
  BlockRecord* records[kTileRows];
  float* f32[kTileRows];  // a float32 sink beside the image
};
constexpr int kFinishBlocks = 4;
struct FinishArgs {
  const FinishSpec* spec;
  const FinishRows* rows;
  float* tile;     // [rows][ld] sums of channels c0 .., overwritten with the results
  size_t ld;
  int c0, blocks;  // first channel, a multiple of the block; blocks of this call, at most kFinishBlocks
  alignas(64) uint32_t largest[kFinishBlocks][16];  // between the halves
};

// Finishing of whole blocks while their sums are in registers or the nearest cache: one image sink in the magic form, blocks of a multiple of 32
// channels or one block for all, of up to 256. A block wider than what is computed at a time waits in `park` for its last channels.
constexpr int kFusedChannels = 256;
struct FusedSpec {
  int channels, block;
  const float *scale, *bias;  // or null; no -0
  float lower, upper;         // clamp: relu 0, linear -infinity; upper: infinity or 6
  enum Residual { kNone, kF32, kImage } residual_kind;  // kImage: in the magic form, borders of blocks at multiples of 32 channels
  int residual_block;
  int mantissa, storage, limit;  // limit: of the mantissas
  // From one pixel to the next: in mantissas and records, the same of the residual (f32: values, 0).
  size_t stride, entries, residual_stride, residual_entries;
};
struct FusedArgs {
  const FusedSpec* spec;
  int rows;
  // Pointers to channel 0 of each pixel; those of rows beyond `rows` repeat the last.
  const float* residual[kTileRows];
  const int8_t* residual_x[kTileRows];
  const BlockRecord* residual_record[kTileRows];
  int8_t* mantissas[kTileRows];
  BlockRecord* records[kTileRows];
  bool huge;  // out: a block was huge
  // To pixels so much further on.
  inline void move_on(int64_t pixels) {
    for (int r = 0; r < kTileRows; r++) {
      mantissas[r] += pixels * int64_t(spec->stride);
      records[r] += pixels * int64_t(spec->entries);
    }
    if (spec->residual_kind == FusedSpec::kF32) {
      for (int r = 0; r < kTileRows; r++) residual[r] += pixels * int64_t(spec->residual_stride);
    } else if (spec->residual_kind == FusedSpec::kImage) {
      for (int r = 0; r < kTileRows; r++) {
        residual_x[r] += pixels * int64_t(spec->residual_stride);
        residual_record[r] += pixels * int64_t(spec->residual_entries);
      }
    }
  }
  alignas(64) float park[kTileRows][kFusedChannels];
  alignas(64) uint32_t largest[kTileRows][16];  // of what is parked
};

// Rows of an image back to floats.
struct DecodeArgs {
  const int8_t* mantissas;
  const BlockRecord* records;
  int length, block;  // from a block's first channel on
  bool plain;
  float* out;
};

// Stem: sums of products over runs of neighbouring values (kw * I of them where the taps of a row touch), see stem.cc.
struct StemArgs {
  const void* const* runs;   // [run_count] first value of output pixel 0 in each run; bfloat16 or float32
  const uint16_t* run_taps;  // [run_count] which run of the weights
  int run_count, length;     // values a run
  size_t pixel_step;         // values from one output pixel to the next
  int count;                 // output pixels, 1..6
  int vectors;               // 1 or 2
  const void* weights;       // [run][ceil(length / 2)][16 * vectors][2]; float32: [run][length][16 * vectors]
  size_t run_weights;        // elements a run
  float* out;
  size_t ldo;
};

// Depthwise: whole vectors of 16 channels, so all rows are padded to them.
struct DepthwiseArgs {
  const float* const* taps;      // [tap_count] input of output pixel 0
  const float* const* weights;   // [tap_count]
  int tap_count, channels, count;
  size_t pixel_step;             // floats from one output pixel's input to the next
  // Of depthwise_fused alone, whose count may be any: where sums start, or null; 1 or 2 where that is the stride of at least 6 pixels and taps come in
  // threes that touch, else 0; where each pixel's input lies from that of pixel 0, in floats, if not at multiples of pixel_step.
  const float* bias;
  int touching_stride;
  const int32_t* offsets;
  float* out;                    // [count][ldo]
  size_t ldo;
};

// Neighbouring pixels of an image back to floats: whole vectors from a channel that starts one of its blocks or lies in the only one.
struct DecodePixelsArgs {
  const int8_t* mantissas;     // of the first pixel, at the first channel
  const BlockRecord* records;  // of the first pixel, at the block of that channel
  size_t stride, entries;      // from one pixel to the next
  int count, channels, block;  // block: a multiple of 16, or no less than the channels
  float* out;                  // [count][ldo]; channels are filled up with zeros to a multiple of 16
  size_t ldo;
};

// Float convolution and matrix product: like TileArgs, with float rows and float panels [tap][depth][16 * vectors of the tile].
struct FloatRows {
  const float* x[kTileRows];
  size_t tap;
};
struct FloatArgs {
  const FloatRows* taps;
  int tap_count, count, depth;
  int vectors;               // of all tiles of the run
  const float* weights;
  size_t vector_weights, tap_weights;  // floats of one vector column: over all taps, of one tap
  float* out;
  size_t ldo;
};

// out[r][c] += sum over k of x[k][r] * y[k][c]: the gradient of a filter. `rows` up to 6 values of x, 16 * vectors of y.
struct OuterArgs {
  const float *x, *y;
  size_t x_step, y_step;  // floats from one k to the next
  int count, rows, vectors;
  float* out;
  size_t ldo;
};

struct Kernels {
  const char* isa;
  void (*dsconv2d_tile[3])(const TileArgs&);  // storage 2, 4, 8
  void (*epilogue)(const EpilogueArgs&);
  // Returns true when a block was huge.
  bool (*quantize)(const QuantizeArgs&);
  void (*finish_first)(FinishArgs&);   // or null: epilogue and quantize serve
  bool (*finish_second)(FinishArgs&);  // true when a block was huge
  void (*decode)(const DecodeArgs&);
  void (*stem_tile)(const StemArgs&);  // f32
  void (*stem_tile_bf16)(const StemArgs&);  // or null
  // x̂ of rows of 3 channels in one block, count pixels: bf16; false: not all could be done this way, use the general one.
  bool (*round_rgb)(const float* x, int count, int mantissa, void* out);
  void (*depthwise)(const DepthwiseArgs&);
  void (*float_tile)(const FloatArgs&);
  void (*outer_tile)(const OuterArgs&);
  void (*max_rows)(const float* const* rows, int count, int channels, float* out);  // NaN wins
  void (*add_rows)(const float* const* rows, int count, int channels, float* out);  // out += the rows
  // Or null, all five: rows of sums [rows][ld] of the channels c0 .. c0 + width, whole blocks; tiles and rows
  // of depthwise outputs that do it themselves.
  void (*finish_fused)(FusedArgs&, const float* sums, size_t ld, int c0, int width) = nullptr;
  void (*dsconv2d_short[3])(const TileArgs&, FusedArgs&, int c0, const PixelRun*) = {};  // one tap and one block in the magic form, from channel c0 on; `out` is not used. With a run: for all of its pixels
  void (*dsconv2d_halves[3])(const TileArgs&, FusedArgs&, int c0, const PixelRun*) = {};  // any taps and depths, scales per block, whole output blocks of 64 or 128 channels
  void (*depthwise_fused)(const DepthwiseArgs&, FusedArgs&, int c0) = nullptr;
  void (*decode_pixels)(const DecodePixelsArgs&) = nullptr;  // the magic form
};

static inline int storage_index(int storage) { return storage == 2 ? 0 : storage == 4 ? 1 : 2; }
static inline int storage_of(int bits) { return bits <= 2 ? 2 : bits <= 4 ? 4 : 8; }
// Depths of one 64-byte weight vector: 16 channels by 4 depths, 4, 2 or 1 of them in a byte.
static inline int step_depth(int storage) { return storage == 2 ? 16 : storage == 4 ? 8 : 4; }

const Kernels* kernels_portable();
const Kernels* kernels_avx2();
const Kernels* kernels_avxvnni();
const Kernels* kernels_avx512vnni();
// Replaces the stem of a set by that of AVX512_BF16.
void use_avx512bf16(Kernels* set);
const Kernels* kernels_neon();

// The set in use: DSCONV_CPU_ISA, or the best this machine has. select_kernels returns false for a name that cannot run here.
const Kernels& kernels();
bool select_kernels(const std::string& isa);
const char* const* available_isas(int* count);
// Uses a set from elsewhere, which must stay alive: for tests of what happens when kernels compute wrong.
void use_kernels(const Kernels* set);

}  // namespace dsconv
