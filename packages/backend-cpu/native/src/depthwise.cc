// Depthwise convolutions: a float per tap, x̂ * q exact in float32, sums in float32, the channel's scale in the epilogue.
#include "depthwise.h"

#include "rows.h"
#include "thread_pool.h"

namespace dsconv {

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
