// First layers: fewer than 16 input channels and one scale per channel. x̂ = M * scale and q are exact as floats (and as bfloat16), so the
// products are exact and the sums those of NUMERICS §4, in float32. Runs of kw * I neighbouring values are one dot product.
#include "dsconv2d.h"
#include "rows.h"

namespace dsconv {
namespace {

// Weights of one group as the kernel reads them, from the bit stream.
template <typename T, typename Convert>
void unpack_weights(const Filter& f, int g, int runs, int length, bool pairs, T* to, const Convert& convert) {
  const int per_group = f.group_outputs();
  for (int v = 0; v < f.group_vectors(); v += 2) {
    const int width = kLaneChannels * min_of(2, f.group_vectors() - v);
    for (int run = 0; run < runs; run++) {
      for (int i = 0; i < (pairs ? round_up(length, 2) : length); i++) {
        T* row = pairs ? to + size_t(i / 2) * width * 2 + (i & 1) : to + size_t(i) * width;
        for (int c = 0; c < width; c++) {
          const int o = v * kLaneChannels + c;
          const bool inside = o < per_group && i < length;
          row[size_t(c) * (pairs ? 2 : 1)] = convert(inside ? f.stream_value((size_t(run) * length + i) * f.outputs + g * per_group + o) : 0);
        }
      }
      to += size_t(pairs ? round_up(length, 2) : length) * width;
    }
  }
}

}  // namespace

void dsconv2d_stem(const Window& w, const Filter& f, const float* x, int mantissa, const Output& out) {
  const Kernels& k = kernels();
  // Float activations need floats.
  const bool bf16 = k.stem_tile_bf16 && mantissa != 0;
  // Whole rows of taps where they touch, else tap by tap.
  const bool joined = f.groups == 1 && w.dilation_w == 1;
  const int length = joined ? w.kw * f.depth : f.depth, columns = joined ? 1 : w.kw, runs = w.kh * columns;
  const int padded_length = bf16 ? round_up(length, 2) : length;
  const int group_width = f.group_vectors() * kLaneChannels;
  const size_t group_weights = size_t(runs) * padded_length * group_width;
  Buffer weights(group_weights * f.groups * (bf16 ? 2 : 4));
  for (int g = 0; g < f.groups; g++) {
    if (bf16) {
      unpack_weights(f, g, runs, length, true, weights.as<uint16_t>() + g * group_weights, [](int q) { return uint16_t(bits_of(float(q)) >> 16); });
    } else {
      unpack_weights(f, g, runs, length, false, weights.as<float>() + g * group_weights, [](int q) { return float(q); });
    }
  }
  const auto tile_fn = bf16 ? k.stem_tile_bf16 : k.stem_tile;
  RowSource source;
  source.w = &w;
  source.x = x;
  source.mantissa = mantissa;
  source.block = f.block;
  source.groups = f.groups;
  source.padded = w.in_c;
  source.bf16 = bf16;
  const size_t ld = round_up(f.outputs, kLaneChannels) + kTileChannels;
  parallel_for(int64_t{w.batch} * w.out_h, 4, [&](int64_t begin, int64_t end) {
    RowRing ring(source, 1);
    float* tiles = static_cast<float*>(thread_scratch(0, 2 * ld * kTileRows * sizeof(float)));
    std::vector<const uint8_t*> bases(runs);
    std::vector<const void*> at(runs);
    std::vector<uint16_t> run_taps(runs);
    Pipeline pipeline;
    const int granule = out.granule(f.groups);
    const bool pipelined = pipeline.prepare(out, granule);
    int parity = 0;
    for (int64_t row = begin; row < end; row++) {
      const int n = int(row / w.out_h), oy = int(row % w.out_h);
      int used = 0;
      for (int ky = 0; ky < w.kh; ky++) {
        const int y = oy * w.stride_h + ky * w.dilation_h - w.pad_top;
        if (y < 0 || y >= w.in_h) continue;
        const uint8_t* base = ring.row(n, y);
        for (int kx = 0; kx < columns; kx++, used++) {
          bases[used] = base + size_t(kx) * w.dilation_w * w.in_c * ring.element();
          run_taps[used] = uint16_t(ky * columns + kx);
        }
      }
      for (int ox = 0; ox < w.out_w;) {
        // Even tiles: 112 pixels are 19 tiles of 5 or 6.
        const int tiles_left = ceil_div(w.out_w - ox, kTileRows);
        const int count = ceil_div(w.out_w - ox, tiles_left);
        float* tile = tiles + parity * ld * kTileRows;
        parity ^= 1;
        StemArgs a;
        a.run_taps = run_taps.data();
        a.run_count = used;
        a.length = length;
        a.pixel_step = size_t(w.stride_w) * w.in_c;
        a.count = count;
        a.ldo = ld;
        for (int g = 0; g < f.groups; g++) {
          for (int r = 0; r < used; r++) at[r] = bases[r] + (size_t(ox) * a.pixel_step + size_t(g) * f.depth) * ring.element();
          a.runs = at.data();
          for (int v = 0; v < f.group_vectors(); v += 2) {
            a.vectors = min_of(2, f.group_vectors() - v);
            a.run_weights = size_t(padded_length) * kLaneChannels * a.vectors;
            const size_t from = g * group_weights + size_t(runs) * padded_length * kLaneChannels * v;
            a.weights = weights.data() + from * (bf16 ? 2 : 4);
            a.out = tile + g * f.group_outputs() + v * kLaneChannels;
            tile_fn(a);
          }
        }
        int64_t pixels[kTileRows];
        for (int r = 0; r < kTileRows; r++) pixels[r] = row * w.out_w + ox + min_of(r, count - 1);
        if (pipelined) {
          pipeline.set_rows(out, count, pixels);
          for (int c = 0; c < f.outputs; c += granule) pipeline.push(tile + c, ld, c, min_of(granule, f.outputs - c));
        } else {
          finish_rows(out, tile, ld, count, pixels, 0, f.outputs);
        }
        ox += count;
      }
    }
    if (pipelined) pipeline.flush();
  });
}

}  // namespace dsconv
