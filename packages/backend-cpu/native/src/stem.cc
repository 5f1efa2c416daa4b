// First layers: fewer than 16 input channels and one scale per channel. x̂ = M * scale and q are exact as floats (and as bfloat16), so the
// products are exact and the sums those of NUMERICS §4, in float32. Runs of kw * I neighbouring values are one dot product.
#include <algorithm>
#include <cmath>

#include "dsconv2d.h"
#include "rows.h"

namespace dsconv {
namespace {

// A first layer with its weights as the kernels read them.
class Stem {
 public:
  Stem(const Window& window, const Filter& filter, const float* x, int mantissa) : w(window), f(filter) {
    const Kernels& k = kernels();
    bf16 = k.stem_tile_bf16 && mantissa != 0;  // float activations need floats
    tile = bf16 ? k.stem_tile_bf16 : k.stem_tile;
    // Whole rows of taps where they touch, else tap by tap.
    const bool joined = f.groups == 1 && w.dilation_w == 1;
    length = joined ? w.kw * f.depth : f.depth;
    columns = joined ? 1 : w.kw;
    runs = w.kh * columns;
    padded_length = bf16 ? round_up(length, 2) : length;
    group_weights = size_t(runs) * padded_length * f.group_vectors() * kLaneChannels;
    weights.allocate(group_weights * f.groups * element());
    for (int g = 0; g < f.groups; g++) {
      if (bf16) unpack(g, weights.as<uint16_t>() + g * group_weights, [](float q) { return uint16_t(bits_of(q) >> 16); });
      else unpack(g, weights.as<float>() + g * group_weights, [](float q) { return q; });
    }
    source.w = &w;
    source.x = x;
    source.mantissa = mantissa;
    source.block = f.block;
    source.groups = f.groups;
    source.padded = w.in_c;
    source.bf16 = bf16;
  }
  size_t element() const { return bf16 ? 2 : 4; }

  const Window& w;
  const Filter& f;
  bool bf16;
  void (*tile)(const StemArgs&);
  int length, columns, runs, padded_length;
  size_t group_weights;
  Buffer weights;
  RowSource source;

 private:
  // [pair of vectors][run][depth][channel], in bfloat16 two depths together.
  template <typename T, typename Convert>
  void unpack(int g, T* to, const Convert& convert) {
    const int per_group = f.group_outputs(), together = bf16 ? 2 : 1;
    float row[2 * kLaneChannels];
    for (int v = 0; v < f.group_vectors(); v += 2) {
      const int width = kLaneChannels * min_of(2, f.group_vectors() - v), inside = min_of(width, per_group - v * kLaneChannels);
      for (int run = 0; run < runs; run++, to += size_t(padded_length) * width) {
        for (int i = 0; i < padded_length; i++) {
          std::fill(row, row + width, 0.0f);
          if (i < length) f.stream_floats((size_t(run) * length + i) * f.outputs + g * per_group + v * kLaneChannels, inside, row);
          T* at = to + size_t(i / together) * width * together + i % together;
          for (int c = 0; c < width; c++) at[size_t(c) * together] = convert(row[c]);
        }
      }
    }
  }
};

// What one thread needs to compute rows of a stem's output.
class StemRows {
 public:
  explicit StemRows(const Stem& stem) : s_(stem), ring_(stem.source, 1), bases_(stem.runs), at_(stem.runs), taps_(stem.runs) {}
  // Output row oy of batch entry n is the one that comes next.
  void enter(int n, int oy) {
    const Window& w = s_.w;
    used_ = 0;
    for (int ky = 0; ky < w.kh; ky++) {
      const int y = oy * w.stride_h + ky * w.dilation_h - w.pad_top;
      if (y < 0 || y >= w.in_h) continue;
      const uint8_t* base = ring_.row(n, y);
      for (int kx = 0; kx < s_.columns; kx++, used_++) {
        bases_[used_] = base + size_t(kx) * w.dilation_w * w.in_c * ring_.element();
        taps_[used_] = uint16_t(ky * s_.columns + kx);
      }
    }
  }
  // Sums of `count` pixels from ox on, all channels in whole vectors: [count][ld].
  void tile(int ox, int count, float* out, size_t ld) {
    const Filter& f = s_.f;
    StemArgs a;
    a.run_taps = taps_.data();
    a.run_count = used_;
    a.length = s_.length;
    a.pixel_step = size_t(s_.w.stride_w) * s_.w.in_c;
    a.count = count;
    a.ldo = ld;
    a.runs = at_.data();
    for (int g = 0; g < f.groups; g++) {
      for (int r = 0; r < used_; r++) at_[r] = bases_[r] + (size_t(ox) * a.pixel_step + size_t(g) * f.depth) * ring_.element();
      for (int v = 0; v < f.group_vectors(); v += 2) {
        a.vectors = min_of(2, f.group_vectors() - v);
        a.run_weights = size_t(s_.padded_length) * kLaneChannels * a.vectors;
        const size_t from = g * s_.group_weights + size_t(s_.runs) * s_.padded_length * kLaneChannels * v;
        a.weights = s_.weights.data() + from * s_.element();
        a.out = out + g * f.group_outputs() + v * kLaneChannels;
        s_.tile(a);
      }
    }
  }

 private:
  const Stem& s_;
  RowRing ring_;
  std::vector<const uint8_t*> bases_;
  std::vector<const void*> at_;
  std::vector<uint16_t> taps_;
  int used_ = 0;
};

// Pixels of the next tile, so that tiles are even: 112 pixels are 19 tiles of 5 or 6.
int next_count(int left) { return ceil_div(left, ceil_div(left, kTileRows)); }

}  // namespace

void dsconv2d_stem(const Window& w, const Filter& f, const float* x, int mantissa, const Output& out) {
  const Stem stem(w, f, x, mantissa);
  const size_t ld = round_up(f.outputs, kLaneChannels) + kTileChannels;
  parallel_for(int64_t{w.batch} * w.out_h, 4, [&](int64_t begin, int64_t end) {
    StemRows rows(stem);
    float* const tile = static_cast<float*>(thread_scratch(0, ld * kTileRows * sizeof(float)));
    FusedFinish fused;
    if (fused.prepare(out)) {
      const int count = min_of(kTileRows, w.out_w);
      for (int64_t row = begin; row < end; row++) {
        rows.enter(int(row / w.out_h), int(row % w.out_h));
        int64_t pixels[kTileRows];
        for (int r = 0; r < kTileRows; r++) pixels[r] = row * w.out_w + min_of(r, count - 1);
        FusedArgs& args = fused.set_rows(out, count, pixels);
        // The last tile may compute some pixels once more.
        for (int ox = 0;;) {
          rows.tile(ox, count, tile, ld);
          kernels().finish_fused(args, tile, ld, 0, f.outputs);
          const int step = min_of(count, w.out_w - count - ox);
          if (step <= 0) break;
          ox += step;
          args.move_on(step);
        }
      }
      return fused.flush();
    }
    for (int64_t row = begin; row < end; row++) {
      rows.enter(int(row / w.out_h), int(row % w.out_h));
      for (int ox = 0, count; ox < w.out_w; ox += count) {
        count = next_count(w.out_w - ox);
        rows.tile(ox, count, tile, ld);
        int64_t pixels[kTileRows];
        for (int r = 0; r < kTileRows; r++) pixels[r] = row * w.out_w + ox + min_of(r, count - 1);
        finish_rows(out, tile, ld, count, pixels, 0, f.outputs);
      }
    }
  });
}

void dsconv2d_stem_max_pool(const Window& w, const Filter& f, const float* x, int mantissa, const Output& stem_out, const Window& pool, const Output& out) {
  const Kernels& k = kernels();
  const Stem stem(w, f, x, mantissa);
  const int channels = f.outputs;
  const size_t ld = round_up(channels, kLaneChannels), row_size = size_t(w.out_w) * ld;
  const int span = (pool.kh - 1) * pool.dilation_h + 1;
  const int64_t total = int64_t{pool.batch} * pool.out_h;
  // Ranges of rows overlap in the rows of the stem that they pool: few ranges.
  parallel_for(total, max_of<int64_t>(4, total / (4 * get_threads())), [&](int64_t begin, int64_t end) {
    StemRows rows(stem);
    float* const ring = static_cast<float*>(thread_scratch(2, (span * row_size + kTileChannels) * sizeof(float)));
    float* const tile = static_cast<float*>(thread_scratch(0, (ld * kTileRows + kTileChannels) * sizeof(float)));
    std::vector<int64_t> held(span, -1);
    std::vector<const float*> at(size_t(pool.kh) * pool.kw), window(pool.kh);
    const auto stem_row = [&](int n, int y) {
      const int64_t id = int64_t{n} * w.out_h + y;
      float* const to = ring + (id % span) * row_size;
      if (held[id % span] == id) return to;
      held[id % span] = id;
      rows.enter(n, y);
      for (int ox = 0, count; ox < w.out_w; ox += count) {
        count = next_count(w.out_w - ox);
        rows.tile(ox, count, to + ox * ld, ld);
        EpilogueArgs e;
        e.tile = to + ox * ld;
        e.ld = ld;
        e.rows = count;
        e.channels = channels;
        e.scale = stem_out.scale;
        e.bias = stem_out.bias;
        e.alphas = stem_out.alphas;
        e.has_residual = false;
        e.activation = stem_out.activation;
        e.alpha = stem_out.alpha;
        k.epilogue(e);
      }
      return to;
    };
    for (int64_t row = begin; row < end; row++) {
      const int n = int(row / pool.out_h), oy = int(row % pool.out_h);
      window.clear();
      for (int ky = 0; ky < pool.kh; ky++) {
        const int y = oy * pool.stride_h + ky * pool.dilation_h - pool.pad_top;
        if (y >= 0 && y < pool.in_h) window.push_back(stem_row(n, y));
      }
      for (int ox = 0, count; ox < pool.out_w; ox += count) {
        count = next_count(pool.out_w - ox);
        int64_t pixels[kTileRows];
        for (int r = 0; r < count; r++) {
          pixels[r] = row * pool.out_w + ox + r;
          int used = 0;
          for (const float* from : window) {
            for (int kx = 0; kx < pool.kw; kx++) {
              const int c = (ox + r) * pool.stride_w + kx * pool.dilation_w - pool.pad_left;
              if (c >= 0 && c < pool.in_w) at[used++] = from + c * ld;
            }
          }
          if (used) k.max_rows(at.data(), used, channels, tile + r * ld);
          else std::fill(tile + r * ld, tile + r * ld + channels, -INFINITY);
        }
        finish_rows(out, tile, ld, count, pixels, 0, channels);
      }
    }
  });
}

}  // namespace dsconv
