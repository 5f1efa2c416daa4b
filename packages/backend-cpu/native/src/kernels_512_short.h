// AVX-512 VNNI: convolutions of one tap and one block of depths, whose sums never leave the registers (kernels.h, dsconv2d_short).
#pragma once

#include "kernels_512_dot.h"
#include "kernels_512_half.h"

namespace dsconv {
namespace {

// No float sums to keep, so that 64 channels fit the registers, from the first product to the mantissas.
template <int Storage, int Tiles, int Vectors, bool PerBlock>
void short_run(const TileArgs& a, FusedArgs& f, int v0, const Run& run) {
  __m512i acc[Tiles][kTileRows][Vectors];
  const int8_t* x[kTileRows];
  const uint8_t* w[Tiles];
  DSCONV_UNROLL
  for (int n = 0; n < Tiles; n++) w[n] = a.weights + (v0 + 2 * n) * a.vector_weights;
  DSCONV_UNROLL
  for (int r = 0; r < kTileRows; r++) {
    x[r] = a.taps->x[r];
    const __m512i start = _mm512_set1_epi32(a.taps->record[r]->start);
    DSCONV_UNROLL
    for (int n = 0; n < Tiles; n++) {
      DSCONV_UNROLL
      for (int v = 0; v < Vectors; v++) acc[n][r][v] = start;
    }
  }
  for (int steps = a.last_steps; steps > 0; steps--) {
    DSCONV_UNROLL
    for (int n = 0; n < Tiles; n++) {
      dot_sets<Storage, kTileRows, Vectors, 0, 0>(acc[n], w[n], x);
      w[n] += 64 * Vectors;
    }
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) x[r] += 32 / Storage;
  }
  const float* const scales = a.scales + v0 * a.vector_scales;
  const float* const bias = f.spec->bias;
  __m512 y[kTileRows][Tiles * Vectors];
  DSCONV_UNROLL
  for (int v = 0; v < Tiles * Vectors; v++) {
    const __m512 scale = PerBlock ? _mm512_load_ps(scales + 16 * v) : _mm512_setzero_ps(), begin = PerBlock && bias ? _mm512_loadu_ps(bias + run.channel() + 16 * v) : _mm512_setzero_ps();
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) {
      // The accumulator already is the float magic + P * scale.
      const __m512 p = _mm512_sub_ps(_mm512_castsi512_ps(acc[v / Vectors][r][v % Vectors]), _mm512_castsi512_ps(_mm512_set1_epi32(int32_t(a.taps->record[r]->magic))));
      y[r][v] = PerBlock ? _mm512_fmadd_ps(p, scale, begin) : p;
    }
  }
  finish_channels<Tiles * Vectors, !PerBlock>(f, y, run);
}

template <int Storage, bool PerBlock>
void short_tail(const TileArgs& a, FusedArgs& f, int c0) {
  each_run(*f.spec, c0, min_of(16 * a.vectors, f.spec->channels - c0), [&](int vectors, const Run& run) {
    const int v = (run.channel() - c0) / 16;
    switch (vectors) {
      case 4: return short_run<Storage, 2, 2, PerBlock>(a, f, v, run);
      case 2: return short_run<Storage, 1, 2, PerBlock>(a, f, v, run);
      default: return short_run<Storage, 1, 1, PerBlock>(a, f, v, run);
    }
  });
}

// ---- blocks of 64 or 128 channels, in halves of 3 rows ---------------------------------------------------------------------------

// All sets of one step of 3 rows by two tiles.
template <int Storage, int Set = 0>
DSCONV_INLINE void dot_two_tiles(__m512i (&acc)[3][4], const uint8_t* w0, const uint8_t* w1, const int8_t* const (&x)[3]) {
  if constexpr (Set < 8 / Storage) {
    __m512i a[3];
    DSCONV_UNROLL
    for (int r = 0; r < 3; r++) a[r] = broadcast_dword(x[r] + 4 * Set);
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) {
      const __m512i u = unpack<Storage, Set>(_mm512_load_si512((v < 2 ? w0 : w1) + 64 * (v & 1)));
      DSCONV_UNROLL
      for (int r = 0; r < 3; r++) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], u, a[r]);
    }
    dot_two_tiles<Storage, Set + 1>(acc, w0, w1, x);
  }
}

// The products of one block; pointers move on by its steps.
template <int Storage>
DSCONV_INLINE void dot_block(__m512i (&acc)[3][4], const uint8_t*& w0, const uint8_t*& w1, const int8_t* (&x)[3], int steps) {
  // Short loops: unrolled ones, which are run once a block, are slower by the time it takes to fetch them.
  for (; steps > 0; steps--) {
    dot_two_tiles<Storage>(acc, w0, w1, x);
    w0 += 128;
    w1 += 128;
    DSCONV_UNROLL
    for (int r = 0; r < 3; r++) x[r] += 32 / Storage;
  }
}

// Products of a block from the starts of its records on.
template <int Storage>
DSCONV_INLINE void dot_block_of(__m512i (&acc)[3][4], const uint8_t*& w0, const uint8_t*& w1, const int8_t* (&x)[3], const BlockRecord* const (&records)[3], int steps) {
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) acc[r][0] = acc[r][1] = acc[r][2] = acc[r][3] = _mm512_set1_epi32(records[r]->start);
  dot_block<Storage>(acc, w0, w1, x, steps);
}

// P * scale of the activations: the accumulator already is the float magic + that.
DSCONV_INLINE __m512 product_of(__m512i acc, const BlockRecord* record) {
  return _mm512_sub_ps(_mm512_castsi512_ps(acc), _mm512_castsi512_ps(_mm512_set1_epi32(int32_t(record->magic))));
}

// So many blocks of 64 * Parts channels from channel c0 on, any taps and depths.
template <int Storage, Clamp C, int Parts>
void half_tiles_form(const TileArgs& a, FusedArgs& f, int c0, int blocks) {
  HalfBlock pending;
  bool is_pending = false;
  const float* const bias = f.spec->bias;
  const int back = a.block - a.steps * (32 / Storage);  // blocks need not be whole steps long
  for (int n = 0; n < blocks; n++) {
    for (int row = 0; row < a.count; row += 3) {
      for (int part = 0; part < Parts; part++) {
        const int unit = n * Parts + part, channel = c0 + 64 * unit;
        __m512 sum[3][4];
        for (const TapRows *tap = a.taps, *end = tap + a.tap_count; tap != end; tap++) {
          const uint8_t *w0 = a.weights + 4 * unit * a.vector_weights + 2 * tap->tap * a.tap_weights, *w1 = w0 + 2 * a.vector_weights;
          const float *scales0 = a.scales + 4 * unit * a.vector_scales + 2 * tap->tap * a.tap_scales, *scales1 = scales0 + 2 * a.vector_scales;
          const int8_t* x[3];
          const BlockRecord* records[3];
          DSCONV_UNROLL
          for (int r = 0; r < 3; r++) {
            x[r] = tap->x[row + r];
            records[r] = tap->record[row + r];
          }
          const auto next_block = [&]() __attribute__((always_inline)) {
            scales0 += 32;
            scales1 += 32;
            DSCONV_UNROLL
            for (int r = 0; r < 3; r++) {
              records[r]++;
              x[r] += back;
            }
          };
          int left = a.blocks;
          if (tap == a.taps) {
            // What is pending has the registers that the sums will need.
            __m512i acc[3][4];
            dot_block_of<Storage>(acc, w0, w1, x, records, left == 1 ? a.last_steps : a.steps);
            if (is_pending && part == 0) write_half<C, Parts>(f, pending);
            DSCONV_UNROLL
            for (int v = 0; v < 4; v++) {
              const __m512 scale = _mm512_load_ps((v < 2 ? scales0 : scales1) + 16 * (v % 2)), begin = bias ? _mm512_loadu_ps(bias + channel + 16 * v) : _mm512_setzero_ps();
              DSCONV_UNROLL
              for (int r = 0; r < 3; r++) sum[r][v] = _mm512_fmadd_ps(product_of(acc[r][v], records[r]), scale, begin);
            }
            left--;
            next_block();
          }
          for (; left > 0; left--) {
            __m512i acc[3][4];
            dot_block_of<Storage>(acc, w0, w1, x, records, left == 1 ? a.last_steps : a.steps);
            DSCONV_UNROLL
            for (int v = 0; v < 4; v++) {
              const __m512 scale = _mm512_load_ps((v < 2 ? scales0 : scales1) + 16 * (v % 2));
              DSCONV_UNROLL
              for (int r = 0; r < 3; r++) sum[r][v] = _mm512_fmadd_ps(product_of(acc[r][v], records[r]), scale, sum[r][v]);
            }
            next_block();
          }
        }
        if (part + 1 < Parts) {
          __m512 y[3][4];
          __m512i largest[3];
          clamp_half<C>(f, sum, row, channel, y, largest);
          park_half(f, y, row, 0);
          DSCONV_UNROLL
          for (int r = 0; r < 3; r++) _mm512_store_si512(f.largest[row + r], largest[r]);
        } else {
          pending.row = row;
          pending.channel = channel - 64 * (Parts - 1);
          is_pending = take_half<C, Parts>(f, sum, pending);
        }
      }
    }
  }
  if (is_pending) write_half<C, Parts>(f, pending);
}

// All whole blocks of 64 or 128 channels, whichever the output has, among so many channels.
template <int Storage, int Parts>
void half_tiles_of(const TileArgs& a, FusedArgs& f, int c0, int channels) {
  switch (clamp_of(*f.spec)) {
    case Clamp::kRelu: return half_tiles_form<Storage, Clamp::kRelu, Parts>(a, f, c0, channels / (64 * Parts));
    case Clamp::kRelu6: return half_tiles_form<Storage, Clamp::kRelu6, Parts>(a, f, c0, channels / (64 * Parts));
    default: return half_tiles_form<Storage, Clamp::kAny, Parts>(a, f, c0, channels / (64 * Parts));
  }
}
template <int Storage>
void half_tiles(const TileArgs& a, FusedArgs& f, int c0, int channels) {
  if (f.spec->block == 64) half_tiles_of<Storage, 1>(a, f, c0, channels);
  else half_tiles_of<Storage, 2>(a, f, c0, channels);
}

// Whether half_tiles can do the whole blocks.
inline bool halves_fit(const FusedSpec& s) {
  if (s.residual_kind == FusedSpec::kF32 || s.scale) return false;
  return (s.block == 64 || s.block == 128) && (s.residual_kind == FusedSpec::kNone || s.residual_block >= s.channels || s.residual_block % 64 == 0);
}

// Whole blocks first, then what is left.
template <int Storage>
void short_runs(const TileArgs& a, FusedArgs& f, int c0) {
  const int channels = min_of(16 * a.vectors, f.spec->channels - c0), whole = halves_fit(*f.spec) ? channels / f.spec->block * f.spec->block : 0;
  if (whole) half_tiles<Storage>(a, f, c0, whole);
  if (channels == whole) return;
  TileArgs rest = a;
  rest.vectors -= whole / 16;
  rest.weights += whole / 16 * a.vector_weights;
  rest.scales += whole / 16 * a.vector_scales;
  short_tail<Storage, true>(rest, f, c0 + whole);
}

// tile(args) for every 6 pixels of a run, the last of which may be computed once more.
template <typename Tile>
DSCONV_INLINE void each_tile(const TileArgs& a, FusedArgs& f, const PixelRun* run, const Tile& tile) {
  if (!run) return tile(a);
  TileArgs args = a;
  TapRows rows = *a.taps;
  args.taps = &rows;
  args.count = int(min_of<int64_t>(kTileRows, run->pixels));
  for (int64_t done = 0;;) {
    tile(args);
    const int64_t step = min_of<int64_t>(kTileRows, run->pixels - kTileRows - done);
    if (step <= 0) return;
    done += step;
    for (int r = 0; r < kTileRows; r++) {
      rows.x[r] += step * int64_t(run->stride);
      rows.record[r] += step * int64_t(run->entries);
    }
    f.move_on(step);
  }
}

template <int Storage>
void dsconv2d_short__avx512vnni(const TileArgs& a, FusedArgs& f, int c0, const PixelRun* run) {
  if (a.scales) each_tile(a, f, run, [&](const TileArgs& args) { short_runs<Storage>(args, f, c0); });
  else each_tile(a, f, run, [&](const TileArgs& args) { short_tail<Storage, false>(args, f, c0); });
}

template <int Storage>
void dsconv2d_halves__avx512vnni(const TileArgs& a, FusedArgs& f, int c0, const PixelRun* run) {
  each_tile(a, f, run, [&](const TileArgs& args) { half_tiles<Storage>(args, f, c0, 16 * args.vectors); });
}

}  // namespace
}  // namespace dsconv
