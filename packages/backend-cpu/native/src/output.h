// Where a step's rows go: epilogue, rounding to an outputFormat, then every sink (float32 tensors and BFP images).
#pragma once

#include "image.h"
#include "kernels.h"

namespace dsconv {

constexpr int kMaxSinks = 4;

struct Partition {
  int mantissa = 0, block = 1, groups = 1;  // mantissa 0: none
  bool is(const ImageSpec& s) const { return mantissa == s.mantissa && groups == s.groups && (block == s.block || (block >= s.depth() && s.block >= s.depth())); }
};

struct Output {
  int channels = 0;
  // v = activation(v * scale + bias + residual); arrays readable 16 floats beyond their end.
  const float *scale = nullptr, *bias = nullptr, *alphas = nullptr;
  const float* residual = nullptr;        // f32 [pixels][channels]
  const Image* residual_image = nullptr;  // or an image
  int activation = kLinear;
  float alpha = 0;
  Partition format;  // outputFormat
  int sinks = 0;
  float* f32[kMaxSinks] = {};
  Image* image[kMaxSinks] = {};  // exactly one of the two per sink

  void add(float* y) { f32[sinks++] = y; }
  void add(Image* i) { image[sinks++] = i; }
  // Channels that must be finished together: a multiple of 32 in which no block of any partition is cut, or all.
  int granule(int conv_groups) const;
  // Clears zero rows and flags of image sinks; call once before the rows. `settle` afterwards.
  void begin() const;
  bool is_plain_copy() const { return !scale && !bias && !residual && !residual_image && activation == kLinear; }
};

// Finishing in one go, pipelined by one tile, where prepare() finds that it applies; else finish_rows serves.
class Pipeline {
 public:
  bool prepare(const Output& out, int granule);
  // Pointers of the rows of the next tiles.
  void set_rows(const Output& out, int count, const int64_t* pixels);
  // The first half for this tile, the second half for the tile before. `tile` stays in use until the next call or flush.
  void push(float* tile, size_t ld, int c0, int width);
  void flush();

 private:
  FinishSpec spec_;
  Image* image_ = nullptr;
  FinishRows rows_[2];
  FinishArgs slot_[2];
  int row_set_ = 0, next_ = 0;
  bool pending_ = false;
};

// Finishing of whole blocks as they are computed (kernels.h, FusedArgs), where prepare() finds that it applies.
class FusedFinish {
 public:
  bool prepare(const Output& out);
  // Pointers of the rows that come next.
  FusedArgs& set_rows(const Output& out, int count, const int64_t* pixels);
  // At the end: passes on what was found.
  void flush() {
    if (args_.huge) image_->huge->store(true, std::memory_order_relaxed);
  }

 private:
  FusedSpec spec_;
  Image* image_ = nullptr;
  FusedArgs args_;
};

// Finishes `count` rows (at most 6) of `width` channels from channel c0 on: tile is [count][ld] sums, overwritten. pixels: output pixels.
// c0 and width as granule() asks, or no image sink and no outputFormat.
void finish_rows(const Output& out, float* tile, size_t ld, int count, const int64_t* pixels, int c0, int width);

// Epilogue and sinks for rows that are already in memory, in parallel.
void copy_rows(const float* x, int64_t pixels, const Output& out);

}  // namespace dsconv
