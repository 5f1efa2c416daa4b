#include "float_conv.h"

#include <vector>

#include "thread_pool.h"

namespace dsconv {
namespace {

// Row tiles of an indirect convolution; `zero` stands for padding, `depth` floats long.
struct Rows {
  const Tiling* tiling;  // null: the pixels themselves, one tap
  int64_t batch, read_pixels, pixels;  // of one entry
  const float* x;
  size_t stride;  // floats a pixel
  const float* zero;
  int64_t tiles() const { return tiling ? batch * tiling->tiles : ceil_div<int64_t>(batch * pixels, kTileRows); }
  // Fills taps and out pixels; returns {rows, taps}.
  std::pair<int, int> resolve(int64_t tile, size_t offset, FloatRows* taps, int64_t* to) const {
    if (!tiling) {
      const int64_t begin = tile * kTileRows, end = min_of(begin + kTileRows, batch * pixels);
      for (int r = 0; r < kTileRows; r++) {
        to[r] = min_of(begin + r, end - 1);
        taps[0].x[r] = x + size_t(to[r]) * stride + offset;
      }
      taps[0].tap = 0;
      return {int(end - begin), 1};
    }
    const Tiling& t = *tiling;
    const int64_t entry = tile / t.tiles, local = tile % t.tiles;
    const int count = int(t.first[local + 1] - t.first[local]);
    const int32_t* index = t.index.data() + size_t(t.first[local]) * kTileRows;
    for (int n = 0; n < count; n++) {
      taps[n].tap = t.taps[t.first[local] + n];
      for (int r = 0; r < kTileRows; r++, index++) taps[n].x[r] = *index < 0 ? zero : x + size_t(entry * read_pixels + *index) * stride + offset;
    }
    for (int r = 0; r < kTileRows; r++) to[r] = entry * pixels + t.pixels[local * kTileRows + r];
    return {t.counts[local], count};
  }
};

// Panels of w with strides: value of (tap, depth i, output o) is w[tap * st + i * si + o * so].
void pack_panels(const float* w, int taps, int depth, int outputs, size_t st, size_t si, size_t so, float* to) {
  for (int o = 0; o < outputs; o += kTileChannels) {
    const int width = outputs - o > kLaneChannels ? kTileChannels : kLaneChannels, real = min_of(width, outputs - o);
    for (int t = 0; t < taps; t++) {
      for (int i = 0; i < depth; i++, to += width) {
        const float* from = w + t * st + i * si + o * so;
        if (so == 1) std::memcpy(to, from, real * sizeof(float));
        else for (int c = 0; c < real; c++) to[c] = from[c * so];
        for (int c = real; c < width; c++) to[c] = 0;
      }
    }
  }
}

size_t panel_floats(int taps, int depth, int outputs) {
  const int full = outputs / kTileChannels * 2, rest = outputs % kTileChannels;
  return size_t(taps) * depth * kLaneChannels * (full + (rest > kLaneChannels ? 2 : rest ? 1 : 0));
}

// out = rows * panels for one group of channels [c0, c0 + outputs).
void run(const Rows& rows, size_t offset, int taps, int depth, int c0, int outputs, const float* panels, const Output& out, bool whole) {
  // Few columns at a time, so that their panels stay in the second-level cache over all rows; all where blocks must not be cut.
  const size_t column = size_t(taps) * depth * kTileChannels * sizeof(float);
  int granule = whole ? outputs : out.granule(1);
  if (!whole && granule < outputs) granule *= int(max_of<size_t>(1, (256 << 10) / (column * ceil_div(granule, kTileChannels) + 1)));
  granule = min_of(granule, outputs);
  const int64_t granules = ceil_div(outputs, granule), tiles = rows.tiles();
  const size_t ld = round_up(granule, kLaneChannels) + kTileChannels;
  parallel_for(tiles * granules, 2, [&](int64_t begin, int64_t end) {
    float* scratch = static_cast<float*>(thread_scratch(0, ld * kTileRows * sizeof(float)));
    FloatRows* at = static_cast<FloatRows*>(thread_scratch(1, sizeof(FloatRows) * taps));
    for (int64_t unit = begin; unit < end; unit++) {
      const int c = int(unit / tiles) * granule, width = min_of(granule, outputs - c);
      int64_t pixels[kTileRows];
      FloatArgs a;
      const auto counts = rows.resolve(unit % tiles, offset, at, pixels);
      a.taps = at;
      a.count = counts.first;
      a.tap_count = counts.second;
      a.depth = depth;
      a.vectors = ceil_div(width, kLaneChannels);
      a.tap_weights = size_t(depth) * kLaneChannels;
      a.vector_weights = a.tap_weights * taps;
      a.weights = panels + size_t(c / kLaneChannels) * a.vector_weights;
      a.out = scratch;
      a.ldo = ld;
      kernels().float_tile(a);
      finish_rows(out, scratch, ld, a.count, pixels, c0 + c, width);
    }
  });
}

}  // namespace

std::shared_ptr<Filter> pack_float(const float* w, int taps, int depth, int outputs, int groups) {
  if (taps < 1 || depth < 1 || outputs < 1 || groups < 1 || outputs % groups) fail_range("the filter's sizes must be positive and outChannels a multiple of groups");
  if (taps > 65535 || int64_t{taps} * depth * outputs > (int64_t{1} << 31)) fail_range("the filter is too large");
  auto f = std::make_shared<Filter>();
  f->kind = Filter::kFloat;
  f->bits = 8;
  f->taps = taps;
  f->depth = depth;
  f->outputs = outputs;
  f->groups = groups;
  const int per_group = outputs / groups;
  const size_t group = panel_floats(taps, depth, per_group);
  f->weights.allocate(group * groups * sizeof(float));
  for (int g = 0; g < groups; g++) {
    pack_panels(w + g * per_group, taps, depth, per_group, size_t(depth) * outputs, outputs, 1, f->weights.as<float>() + g * group);
  }
  return f;
}

void conv2d_rows(const Window& w, const Filter& f, const float* x, const Tiling* tiling, const Output& out) {
  Buffer zero(size_t(f.depth) * sizeof(float));
  zero.zero();
  const Rows rows{tiling, w.batch, int64_t{w.in_h} * w.in_w, int64_t{w.out_h} * w.out_w, x, size_t(w.in_c), zero.as<float>()};
  const int per_group = f.group_outputs();
  if (f.groups == 1) return run(rows, 0, f.taps, f.depth, 0, f.outputs, f.weights.as<float>(), out, false);
  // Groups one after the other into f32; sinks that cut across groups are served from there.
  bool simple = !out.format.mantissa;
  for (int n = 0; n < out.sinks; n++) simple &= out.image[n] == nullptr;
  const size_t group = panel_floats(f.taps, f.depth, per_group);
  if (simple) {
    for (int g = 0; g < f.groups; g++) run(rows, size_t(g) * f.depth, f.taps, f.depth, g * per_group, per_group, f.weights.as<float>() + g * group, out, true);
    return;
  }
  Buffer plain(size_t(w.out_pixels()) * f.outputs * sizeof(float));
  Output first;
  first.channels = f.outputs;
  first.add(plain.as<float>());
  for (int g = 0; g < f.groups; g++) run(rows, size_t(g) * f.depth, f.taps, f.depth, g * per_group, per_group, f.weights.as<float>() + g * group, first, true);
  copy_rows(plain.as<float>(), w.out_pixels(), out);
}

std::shared_ptr<Filter> dequantize(const Filter& f) {
  std::vector<float> w(size_t(f.taps) * f.depth * f.outputs);
  const int per_group = f.group_outputs(), sets = 8 / f.storage, offset = 1 << (f.storage - 1), mask = (1 << f.storage) - 1;
  if (f.kind == Filter::kStem) {
    for (size_t n = 0; n < w.size(); n++) w[n] = float(f.stream_value(n));
  } else {
    for (int g = 0; g < f.groups; g++) {
      for (int o = 0; o < per_group; o++) {
        const int t = o / kTileChannels, v = f.vectors(t), lane = o % kTileChannels / kLaneChannels;
        const size_t column = size_t(g) * f.group_vectors() + size_t(t) * 2;
        for (int tap = 0; tap < f.taps; tap++) {
          for (int i = 0; i < f.depth; i++) {
            const int j = i / f.block, inside = i % f.block, step = inside / step_depth(f.storage), set = inside % step_depth(f.storage) / 4;
            const size_t vector = (size_t(tap) * f.tap_steps() + size_t(j) * f.steps(0) + step) * v + lane;
            const uint8_t byte = f.weights.data()[column * f.taps * f.tap_weights() + vector * 64 + o % kLaneChannels * 4 + i % f.block % 4];
            const int q = ((byte >> (set * f.storage)) & mask) - offset;
            const size_t at = column * f.taps * f.tap_scales() + ((size_t(tap) * f.blocks() + j) * v + lane) * kLaneChannels + o % kLaneChannels;
            const float scale = f.scales ? f.scales.as<float>()[at] : 1.0f, shift = f.shifts ? f.shifts.as<float>()[at] : 0.0f;
            // With scales per channel the scale is the epilogue's; a shift beside it must then be divided out of it.
            w[(size_t(tap) * f.depth + i) * f.outputs + g * per_group + o] =
                f.channel_scales && f.shifts ? float(q) * f.channel_scales.as<float>()[g * per_group + o] + shift : float(q) * scale + shift;
          }
        }
      }
    }
  }
  (void)sets;
  return pack_float(w.data(), f.taps, f.depth, f.outputs, f.groups);
}

void conv2d_backprop_input(const Window& w, int outputs, const float* dy, const float* weights, float* dx) {
  const int taps = w.kh * w.kw;
  Buffer panels(panel_floats(taps, outputs, w.in_c) * sizeof(float)), zero(size_t(outputs) * sizeof(float));
  zero.zero();
  pack_panels(weights, taps, outputs, w.in_c, size_t(w.in_c) * outputs, 1, outputs, panels.as<float>());
  const auto tiling = tiling_of(w, true);
  const Rows rows{tiling.get(), w.batch, int64_t{w.out_h} * w.out_w, int64_t{w.in_h} * w.in_w, dy, size_t(outputs), zero.as<float>()};
  Output out;
  out.channels = w.in_c;
  out.add(dx);
  run(rows, 0, taps, outputs, 0, w.in_c, panels.as<float>(), out, false);
}

void conv2d_backprop_filter(const Window& w, int outputs, const float* x, const float* dy, float* dw) {
  const int taps = w.kh * w.kw, column_tiles = ceil_div(outputs, kTileChannels);
  const size_t ld = round_up(outputs, kLaneChannels), size = size_t(taps) * w.in_c * ld;
  const int64_t pixels = w.out_pixels();
  // The last columns are copied, so that whole vectors may be read.
  const int ragged = outputs % kLaneChannels ? outputs / kTileChannels * kTileChannels : outputs;
  Buffer rest(size_t(ragged < outputs ? pixels : 0) * kTileChannels * sizeof(float));
  if (ragged < outputs) {
    rest.zero();
    for (int64_t p = 0; p < pixels; p++) std::memcpy(rest.as<float>() + p * kTileChannels, dy + p * outputs + ragged, (outputs - ragged) * sizeof(float));
  }
  // Pictures in slices with a sum each, so that small filters have work for all threads. How many depends on the shapes alone: so do the results.
  constexpr size_t kPartialFloats = 4 << 20;
  const int slices = int(max_of<size_t>(1, min_of(min_of(size_t(w.batch), size_t{16}), kPartialFloats / size)));
  Buffer partial(size * slices * sizeof(float));
  partial.zero();
  parallel_for(int64_t{slices} * taps * column_tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      const int slice = int(unit / (int64_t{taps} * column_tiles)), tap = int(unit / column_tiles % taps), o = int(unit % column_tiles) * kTileChannels;
      const int ky = tap / w.kw, kx = tap % w.kw;
      // Output columns whose tap lies inside the picture.
      const int64_t shift = int64_t{kx} * w.dilation_w - w.pad_left;
      const int64_t first = shift < 0 ? ceil_div<int64_t>(-shift, w.stride_w) : 0, last = min_of<int64_t>(w.out_w, shift < w.in_w ? (w.in_w - 1 - shift) / w.stride_w + 1 : 0);
      if (first >= last) continue;
      OuterArgs a;
      a.x_step = size_t(w.stride_w) * w.in_c;
      a.y_step = o >= ragged ? kTileChannels : outputs;
      a.count = int(last - first);
      a.vectors = outputs - o > kLaneChannels ? 2 : 1;
      a.ldo = ld;
      float* sums = partial.as<float>() + slice * size + size_t(tap) * w.in_c * ld + o;
      for (int64_t n = int64_t{w.batch} * slice / slices; n < int64_t{w.batch} * (slice + 1) / slices; n++) {
        for (int oy = 0; oy < w.out_h; oy++) {
          const int64_t y = int64_t{oy} * w.stride_h + ky * w.dilation_h - w.pad_top;
          if (y < 0 || y >= w.in_h) continue;
          const int64_t p = (n * w.out_h + oy) * w.out_w + first;
          const float* row = x + ((n * w.in_h + y) * w.in_w + first * w.stride_w + shift) * w.in_c;
          a.y = o >= ragged ? rest.as<float>() + p * kTileChannels : dy + p * outputs + o;
          for (int i = 0; i < w.in_c; i += kTileRows) {
            a.x = row + i;
            a.rows = min_of(kTileRows, w.in_c - i);
            a.out = sums + i * ld;
            kernels().outer_tile(a);
          }
        }
      }
    }
  });
  parallel_for(int64_t{taps} * w.in_c, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      float* to = dw + row * outputs;
      const float* from = partial.as<float>() + row * ld;
      std::memcpy(to, from, outputs * sizeof(float));
      for (int s = 1; s < slices; s++) for (int o = 0; o < outputs; o++) to[o] += from[s * size + o];
    }
  });
}

void depthwise_backprop_input(const Window& w, int mult, const float* dy, const float* weights, float* dx) {
  const int channels = w.in_c, outputs = channels * mult;
  parallel_for(int64_t{w.batch} * w.in_h, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const int64_t n = row / w.in_h, y = row % w.in_h;
      for (int x = 0; x < w.in_w; x++) {
        float* to = dx + (row * w.in_w + x) * channels;
        std::memset(to, 0, channels * sizeof(float));
        for (int ky = 0; ky < w.kh; ky++) {
          const int64_t vy = y + w.pad_top - ky * w.dilation_h;
          if (vy < 0 || vy % w.stride_h || vy / w.stride_h >= w.out_h) continue;
          for (int kx = 0; kx < w.kw; kx++) {
            const int vx = x + w.pad_left - kx * w.dilation_w;
            if (vx < 0 || vx % w.stride_w || vx / w.stride_w >= w.out_w) continue;
            const float* from = dy + ((n * w.out_h + vy / w.stride_h) * w.out_w + vx / w.stride_w) * outputs;
            const float* f = weights + size_t(ky * w.kw + kx) * outputs;
            if (mult == 1) for (int c = 0; c < channels; c++) to[c] += from[c] * f[c];
            else for (int c = 0; c < channels; c++) for (int m = 0; m < mult; m++) to[c] += from[c * mult + m] * f[c * mult + m];
          }
        }
      }
    }
  });
}

void depthwise_backprop_filter(const Window& w, int mult, const float* x, const float* dy, float* dw) {
  const int channels = w.in_c, outputs = channels * mult;
  parallel_for(int64_t{w.kh} * w.kw, 1, [&](int64_t begin, int64_t end) {
    for (int64_t tap = begin; tap < end; tap++) {
      const int ky = int(tap / w.kw), kx = int(tap % w.kw);
      float* to = dw + size_t(tap) * outputs;
      std::memset(to, 0, outputs * sizeof(float));
      for (int64_t row = 0; row < int64_t{w.batch} * w.out_h; row++) {
        const int64_t n = row / w.out_h, y = row % w.out_h * w.stride_h + ky * w.dilation_h - w.pad_top;
        if (y < 0 || y >= w.in_h) continue;
        for (int ox = 0; ox < w.out_w; ox++) {
          const int at = ox * w.stride_w + kx * w.dilation_w - w.pad_left;
          if (at < 0 || at >= w.in_w) continue;
          const float* a = x + ((n * w.in_h + y) * w.in_w + at) * channels;
          const float* b = dy + (row * w.out_w + ox) * outputs;
          if (mult == 1) for (int c = 0; c < channels; c++) to[c] += a[c] * b[c];
          else for (int c = 0; c < channels; c++) for (int m = 0; m < mult; m++) to[c * mult + m] += a[c] * b[c * mult + m];
        }
      }
    }
  });
}

void matmul(const MatMul& mm, const float* a, const float* b, const Output& out) {
  const int k = int(mm.k), n = int(mm.n);
  Buffer panels(panel_floats(1, k, n) * sizeof(float)), turned;
  if (mm.transpose_a) turned.allocate(size_t(mm.m) * k * sizeof(float));
  for (int64_t e = 0; e < mm.batch; e++) {
    const float* ae = a + e * mm.a_stride;
    if (e == 0 || mm.b_stride) pack_panels(b + e * mm.b_stride, 1, k, n, 0, mm.transpose_b ? 1 : n, mm.transpose_b ? k : 1, panels.as<float>());
    if (mm.transpose_a && (e == 0 || mm.a_stride)) {
      for (int64_t r = 0; r < mm.m; r++) for (int64_t c = 0; c < mm.k; c++) turned.as<float>()[r * mm.k + c] = ae[c * mm.m + r];
    }
    const Rows rows{nullptr, 1, mm.m, mm.m, mm.transpose_a ? turned.as<float>() : ae, size_t(mm.k), nullptr};
    Output entry = out;
    for (int s = 0; s < out.sinks; s++) entry.f32[s] = out.f32[s] + e * mm.m * mm.n;
    run(rows, 0, 1, k, 0, n, panels.as<float>(), entry, false);
  }
}

}  // namespace dsconv
