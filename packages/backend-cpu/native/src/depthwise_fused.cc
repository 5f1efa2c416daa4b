// Depthwise convolutions from image to image, some channels at a time: their input is decoded to floats, and kernels finish what they compute.
#include <algorithm>

#include "depthwise.h"
#include "thread_pool.h"

namespace dsconv {
namespace {

// A decoded map of so many bytes is kept whole, so that tiles need not end with rows.
constexpr size_t kSmallMap = 72 << 10;

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

// One call's constants.
struct Depthwise {
  const Window& w;
  const Image& image;
  Output out;          // without scale and bias
  const float* bias;   // that sums start with
  Buffer weights;      // [taps][padded], with the channels' scales
  int padded, width;   // width: channels of a chunk
};

void decode(const Depthwise& d, int64_t pixel, int count, int c0, int channels, float* to, int padded) {
  const ImageSpec& s = d.image.spec;
  kernels().decode_pixels({d.image.rows + pixel * int64_t(s.stride()) + c0, d.image.records + pixel * int64_t(s.entries()) + c0 / s.block, s.stride(), size_t(s.entries()), count,
                           channels, s.block, to, size_t(padded)});
}

// What a thread needs for one chunk of channels.
class Chunk {
 public:
  Chunk(const Depthwise& d, int c0, FusedFinish* fused) : d_(d), fused_(*fused), c0_(c0), at_(size_t(d.w.kh) * d.w.kw), weights_(at_.size()) {
    a_.channels = min_of(d.width, d.w.in_c - c0);
    a_.taps = at_.data();
    a_.weights = weights_.data();
    a_.bias = d.bias;
    padded_ = round_up(a_.channels, kLaneChannels);
    a_.pixel_step = size_t(d.w.stride_w) * padded_;
    columns_ = (d.w.out_w - 1) * d.w.stride_w + (d.w.kw - 1) * d.w.dilation_w + 1;
  }
  // Output rows begin .. end over the batch.
  void run(int64_t begin, int64_t end) {
    const Window& w = d_.w;
    while (begin < end) {
      const int64_t n = begin / w.out_h, last = min_of(end, (n + 1) * w.out_h);
      const int first = int(begin - n * w.out_h), rows = int(last - begin);
      if (is_map(rows)) run_map(n, first, rows);
      else run_rows(n, first, rows);
      begin = last;
    }
  }

 private:
  // Where rows are too short for tiles of 3 pixels, or tiles are of 6.
  bool is_map(int rows) const {
    const bool halves = touching_stride() && d_.out.image[0]->spec.block == 64 && a_.channels % 64 == 0;
    return !(halves && d_.w.out_w >= 12) && size_t(input_rows(rows)) * columns_ * padded_ * sizeof(float) <= kSmallMap;
  }
  int touching_stride() const { return d_.w.kw == 3 && d_.w.dilation_w == 1 && d_.w.stride_w <= 2 && d_.w.out_w >= kTileRows ? d_.w.stride_w : 0; }
  int input_rows(int rows) const { return (rows - 1) * d_.w.stride_h + (d_.w.kh - 1) * d_.w.dilation_h + 1; }
  void add_tap(int ky, int kx, const float* row) {
    at_[a_.tap_count] = row + size_t(kx) * d_.w.dilation_w * padded_;
    weights_[a_.tap_count++] = d_.weights.as<float>() + size_t(ky * d_.w.kw + kx) * d_.padded + c0_;
  }
  // The padding left and right.
  void clear_sides(float* row) {
    const int left = min_of(columns_, max_of(0, d_.w.pad_left)), right = min_of(columns_ - left, max_of(0, columns_ - d_.w.pad_left - d_.w.in_w));
    std::memset(row, 0, size_t(left) * padded_ * sizeof(float));
    std::memset(row + size_t(columns_ - right) * padded_, 0, size_t(right) * padded_ * sizeof(float));
  }
  void decode_row(int64_t n, int y, float* to) {
    const Window& w = d_.w;
    const int begin = max_of(0, -w.pad_left), end = min_of(w.in_w, columns_ - w.pad_left);
    if (begin < end) decode(d_, (n * w.in_h + y) * w.in_w + begin, end - begin, c0_, a_.channels, to + size_t(begin + w.pad_left) * padded_, padded_);
  }
  void compute(int64_t first_pixel) {
    int64_t pixels[kTileRows];
    const int count = min_of(kTileRows, a_.count);
    for (int r = 0; r < kTileRows; r++) pixels[r] = first_pixel + min_of(r, count - 1);
    kernels().depthwise_fused(a_, fused_.set_rows(d_.out, count, pixels), c0_);
  }

  // All input rows at once, padding included: outputs follow each other over the ends of rows.
  void run_map(int64_t n, int first, int rows) {
    const Window& w = d_.w;
    const int height = input_rows(rows), top = first * w.stride_h - w.pad_top;
    const size_t row_size = size_t(columns_) * padded_;
    float* const map = static_cast<float*>(thread_scratch(1, height * row_size * sizeof(float)));
    for (int y = 0; y < height; y++) {
      if (y + top < 0 || y + top >= w.in_h) {
        std::memset(map + y * row_size, 0, row_size * sizeof(float));
        continue;
      }
      clear_sides(map + y * row_size);
      decode_row(n, y + top, map + y * row_size);
    }
    a_.tap_count = 0;
    for (int ky = 0; ky < w.kh; ky++) for (int kx = 0; kx < w.kw; kx++) add_tap(ky, kx, map + ky * w.dilation_h * row_size);
    offsets_.resize(size_t(rows) * w.out_w);
    for (int y = 0; y < rows; y++) for (int x = 0; x < w.out_w; x++) offsets_[size_t(y) * w.out_w + x] = int32_t(y * w.stride_h * row_size + x * a_.pixel_step);
    a_.offsets = offsets_.data();
    a_.touching_stride = 0;
    a_.count = rows * w.out_w;
    compute((n * w.out_h + first) * w.out_w);
  }

  // A ring of input rows.
  void run_rows(int64_t n, int first, int rows) {
    const Window& w = d_.w;
    const int span = (w.kh - 1) * w.dilation_h + 1;
    const size_t row_size = size_t(columns_) * padded_;
    float* const ring = static_cast<float*>(thread_scratch(1, span * row_size * sizeof(float)));
    for (int y = 0; y < span; y++) clear_sides(ring + y * row_size);  // the same for every row
    held_.assign(span, -1);
    a_.offsets = nullptr;
    a_.touching_stride = touching_stride();
    a_.count = w.out_w;
    for (int oy = first; oy < first + rows; oy++) {
      a_.tap_count = 0;
      for (int ky = 0; ky < w.kh; ky++) {
        const int y = oy * w.stride_h + ky * w.dilation_h - w.pad_top;
        if (y < 0 || y >= w.in_h) continue;
        float* const row = ring + y % span * row_size;
        if (held_[y % span] != y) decode_row(n, y, row);
        held_[y % span] = y;
        for (int kx = 0; kx < w.kw; kx++) add_tap(ky, kx, row);
      }
      compute((n * w.out_h + oy) * w.out_w);
    }
  }

  const Depthwise& d_;
  FusedFinish& fused_;
  int c0_, padded_, columns_;
  DepthwiseArgs a_;
  std::vector<const float*> at_, weights_;
  std::vector<int32_t> offsets_;
  std::vector<int> held_;
};

}  // namespace

bool depthwise_fused(const Window& w, const DepthwiseSource& s, const Output& out) {
  if (!kernels().depthwise_fused || !s.image || s.image->plain || s.multiplier != 1 || out.residual || out.residual_image) return false;
  const ImageSpec& in = s.image->spec;
  if (in.groups != 1 || (in.block < in.channels && in.block % kLaneChannels)) return false;
  FusedFinish probe;
  if (!probe.prepare(out)) return false;
  const int channels = w.in_c, taps = w.kh * w.kw, padded = round_up(channels, kLaneChannels);
  Depthwise d{w, *s.image, out, out.bias, float_weights(s, taps, channels, padded), padded, fused_channels(in, out.image[0]->spec.block)};
  // The channel's scale goes into the weights, the bias into the sums.
  d.out.scale = d.out.bias = nullptr;
  if (out.scale) {
    for (int t = 0; t < taps; t++) for (int c = 0; c < channels; c++) d.weights.as<float>()[size_t(t) * padded + c] *= out.scale[c];
  }
  const int chunks = ceil_div(channels, d.width);
  const int64_t rows = int64_t{w.batch} * w.out_h;
  // Few rows at a time for every thread would decode the same rows again and again.
  const int64_t grain = max_of<int64_t>(4, rows / (4 * get_threads()));
  parallel_for(rows * chunks, grain, [&](int64_t begin, int64_t end) {
    FusedFinish fused;
    fused.prepare(d.out);
    for (int64_t unit = begin; unit < end;) {
      const int64_t chunk = unit / rows, last = min_of(end, (chunk + 1) * rows);
      Chunk(d, int(chunk) * d.width, &fused).run(unit - chunk * rows, last - chunk * rows);
      unit = last;
    }
    fused.flush();
  });
  return true;
}

}  // namespace dsconv
