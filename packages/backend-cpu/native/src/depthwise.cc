// Depthwise convolutions: a float per tap, x̂ * q exact in float32, sums in float32, the channel's scale in the epilogue.
#include "depthwise.h"

#include "rows.h"
#include "thread_pool.h"

namespace dsconv {
namespace {

// [taps][padded] floats; zeros beyond the channels.
Buffer float_weights(const DepthwiseSource& s, int taps, int channels, int padded) {
  Buffer weights(size_t(taps) * padded * sizeof(float));
  weights.zero();
  for (int t = 0; t < taps; t++) {
    float* const row = weights.as<float>() + size_t(t) * padded;
    if (s.filter) s.filter->stream_floats(size_t(t) * channels, channels, row);
    else std::memcpy(row, s.w + size_t(t) * channels, channels * sizeof(float));
  }
  return weights;
}

// Input rows of some channels of an image as floats, in a ring, with the horizontal padding as zeros.
class DecodedRows {
 public:
  DecodedRows(const Window& w, const Image& image, int c0, int channels) : w_(w), image_(image), c0_(c0), channels_(channels) {
    padded_ = round_up(channels, kLaneChannels);
    span_ = (w.kh - 1) * w.dilation_h + 1;
    width_ = (w.out_w - 1) * w.stride_w + (w.kw - 1) * w.dilation_w + 1;
    row_ = size_t(width_) * padded_;
    memory_ = static_cast<float*>(thread_scratch(1, (span_ * row_ + kPieceSlack) * sizeof(float)));
    // The padding is the same for every row.
    std::memset(memory_, 0, span_ * row_ * sizeof(float));
    held_.assign(span_, -1);
  }
  int padded() const { return padded_; }
  // Row y (inside the image) of batch entry n from x = -pad_left on.
  const float* row(int n, int y) {
    const int64_t id = int64_t{n} * w_.in_h + y;
    const int slot = int(id % span_);
    float* const at = memory_ + slot * row_;
    if (held_[slot] != id) {
      const ImageSpec& s = image_.spec;
      const int begin = max_of(0, -w_.pad_left), end = min_of(w_.in_w, width_ - w_.pad_left);
      const int64_t pixel = id * w_.in_w + begin;
      if (begin < end) {
        kernels().decode_pixels({image_.rows + pixel * int64_t(s.stride()) + c0_, image_.records + pixel * int64_t(s.entries()) + c0_ / s.block, s.stride(), size_t(s.entries()),
                                 end - begin, channels_, s.block, at + size_t(begin + w_.pad_left) * padded_, size_t(padded_)});
      }
      held_[slot] = id;
    }
    return at;
  }

 private:
  static constexpr size_t kPieceSlack = 64;
  const Window& w_;
  const Image& image_;
  int c0_, channels_, padded_, span_, width_;
  size_t row_;
  float* memory_;
  std::vector<int64_t> held_;
};

// Channels that are computed together: few, so that the decoded rows stay in the nearest cache, but no block cut. 0: it cannot be done.
int fused_channels(const ImageSpec& in, int out_block) {
  int width = 64;
  for (int block : {in.block, out_block}) {
    if (block >= in.channels) continue;
    while (width % block) width += 64;
  }
  const bool one_output_block = out_block >= in.channels;
  return min_of(one_output_block ? in.channels : width, in.channels);
}

// Images to images, block by block.
bool depthwise_fused(const Window& w, const DepthwiseSource& s, const Output& out) {
  const Kernels& k = kernels();
  if (!k.depthwise_fused || !s.image || s.image->plain || s.multiplier != 1 || out.residual || out.residual_image) return false;
  const ImageSpec& in = s.image->spec;
  if (in.groups != 1 || (in.block < in.channels && in.block % kLaneChannels)) return false;
  FusedFinish probe;
  if (!probe.prepare(out)) return false;
  const int channels = w.in_c, taps = w.kh * w.kw, padded = round_up(channels, kLaneChannels), width = fused_channels(in, out.image[0]->spec.block);
  // The channel's scale goes into the weights, the bias into the sums.
  const Buffer weights = float_weights(s, taps, channels, padded);
  Output rest = out;
  rest.scale = rest.bias = nullptr;
  if (out.scale) {
    for (int t = 0; t < taps; t++) for (int c = 0; c < channels; c++) weights.as<float>()[size_t(t) * padded + c] *= out.scale[c];
  }
  const int chunks = ceil_div(channels, width);
  const int64_t rows = int64_t{w.batch} * w.out_h;
  // Few rows at a time for every thread would decode the same rows again and again.
  const int64_t grain = max_of<int64_t>(4, rows / (4 * get_threads()));
  parallel_for(rows * chunks, grain, [&](int64_t begin, int64_t end) {
    FusedFinish fused;
    fused.prepare(rest);
    std::vector<const float*> at(taps), tap_weights(taps);
    int64_t pixels[kTileRows];
    for (int64_t unit = begin; unit < end;) {
      const int64_t chunk = unit / rows, last = min_of(end, (chunk + 1) * rows);
      const int c0 = int(chunk) * width;
      DepthwiseArgs a;
      a.channels = min_of(width, channels - c0);
      a.taps = at.data();
      a.weights = tap_weights.data();
      a.bias = out.bias;
      DecodedRows input(w, *s.image, c0, a.channels);
      a.pixel_step = size_t(w.stride_w) * input.padded();
      a.count = w.out_w;
      a.touching_stride = w.kw == 3 && w.dilation_w == 1 && w.stride_w <= 2 && w.out_w >= kTileRows ? w.stride_w : 0;
      for (; unit < last; unit++) {
        const int64_t row = unit - chunk * rows;
        const int n = int(row / w.out_h), oy = int(row % w.out_h);
        a.tap_count = 0;
        for (int ky = 0; ky < w.kh; ky++) {
          const int y = oy * w.stride_h + ky * w.dilation_h - w.pad_top;
          if (y < 0 || y >= w.in_h) continue;
          const float* const base = input.row(n, y);
          for (int kx = 0; kx < w.kw; kx++, a.tap_count++) {
            at[a.tap_count] = base + size_t(kx) * w.dilation_w * input.padded();
            tap_weights[a.tap_count] = weights.as<float>() + size_t(ky * w.kw + kx) * padded + c0;
          }
        }
        for (int r = 0; r < kTileRows; r++) pixels[r] = row * w.out_w + min_of(r, w.out_w - 1);
        k.depthwise_fused(a, fused.set_rows(rest, min_of(kTileRows, w.out_w), pixels), c0);
      }
    }
    fused.flush();
  });
  return true;
}

}  // namespace

void depthwise_rows(const Window& w, const DepthwiseSource& s, const Output& out) {
  if (depthwise_fused(w, s, out)) return;
  const Kernels& k = kernels();
  const int taps = w.kh * w.kw, channels = w.in_c * s.multiplier, padded = round_up(channels, kLaneChannels);
  const Buffer weights = float_weights(s, taps, channels, padded);
  RowSource source;
  source.w = &w;
  source.x = s.x;
  source.image = s.image;
  source.mantissa = s.image ? 0 : s.mantissa;
  source.block = s.block;
  source.multiplier = s.multiplier;
  source.padded = padded;
  parallel_for(int64_t{w.batch} * w.out_h, 4, [&](int64_t begin, int64_t end) {
    RowRing ring(source, 1);
    float* tiles = static_cast<float*>(thread_scratch(0, size_t(2) * padded * kTileRows * sizeof(float)));
    std::vector<const float*> bases(taps), at(taps), tap_weights(taps);
    Pipeline pipeline;
    const int granule = out.granule(1);
    const bool pipelined = pipeline.prepare(out, granule);
    int parity = 0;
    for (int64_t row = begin; row < end; row++) {
      const int n = int(row / w.out_h), oy = int(row % w.out_h);
      int used = 0;
      for (int ky = 0; ky < w.kh; ky++) {
        const int y = oy * w.stride_h + ky * w.dilation_h - w.pad_top;
        if (y < 0 || y >= w.in_h) continue;
        const float* base = reinterpret_cast<const float*>(ring.row(n, y));
        for (int kx = 0; kx < w.kw; kx++, used++) {
          bases[used] = base + size_t(kx) * w.dilation_w * padded;
          tap_weights[used] = weights.as<float>() + size_t(ky * w.kw + kx) * padded;
        }
      }
      for (int ox = 0; ox < w.out_w; ox += kTileRows) {
        float* tile = tiles + size_t(parity) * padded * kTileRows;
        parity ^= 1;
        DepthwiseArgs a;
        a.count = min_of(kTileRows, w.out_w - ox);
        a.pixel_step = size_t(w.stride_w) * padded;
        for (int t = 0; t < used; t++) at[t] = bases[t] + size_t(ox) * a.pixel_step;
        a.taps = at.data();
        a.weights = tap_weights.data();
        a.tap_count = used;
        a.channels = padded;
        a.out = tile;
        a.ldo = padded;
        k.depthwise(a);
        int64_t pixels[kTileRows];
        for (int r = 0; r < kTileRows; r++) pixels[r] = row * w.out_w + ox + min_of(r, a.count - 1);
        if (pipelined) {
          pipeline.set_rows(out, a.count, pixels);
          for (int c = 0; c < channels; c += granule) pipeline.push(tile + c, padded, c, min_of(granule, channels - c));
        } else {
          finish_rows(out, tile, padded, a.count, pixels, 0, channels);
        }
      }
    }
    if (pipelined) pipeline.flush();
  });
}

}  // namespace dsconv
