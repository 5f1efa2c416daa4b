// AVX-512 VNNI: convolutions of one tap and one block of depths, whose sums never leave the registers (kernels.h, dsconv2d_short).
#pragma once

#include "kernels_512_dot.h"
#include "kernels_512_finish.h"

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

// ---- blocks of 64 or 128 channels, in halves of 3 rows ---------------------------------------------------------------------------------

// Three vectors to one: every 128 bits hold the reductions of rows 0, 1, 2 and 2 again.
template <typename Op>
DSCONV_INLINE __m512i reduce_3_rows(__m512i a, __m512i b, __m512i c) {
  const __m512i ab = Op::of(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b)), cc = Op::of(_mm512_unpacklo_epi32(c, c), _mm512_unpackhi_epi32(c, c));
  const __m512i x = Op::of(_mm512_unpacklo_epi64(ab, cc), _mm512_unpackhi_epi64(ab, cc));
  const __m512i y = Op::of(x, _mm512_shuffle_i32x4(x, x, 0x4E));
  return Op::of(y, _mm512_shuffle_i32x4(y, y, 0xB1));
}

// Values of 3 rows by a block between the two parts of their finishing: the second is done after the products of the next 3 rows are under way, so
// that nothing waits for the maximum over a block. Of a block of 128 channels (Parts = 2) the first 64 are in the memory of FusedArgs.
struct HalfBlock {
  __m512 y[3][4];
  __m512i magic;
  int row, channel;  // channel: the block's first
};

// Mantissas and records.
template <Clamp C, int Parts>
DSCONV_INLINE void write_half(const FusedArgs& f, const HalfBlock& h) {
  const FusedSpec& s = *f.spec;
  const RoundConstants k{load(kOrders.even), load(kOrders.quarters), _mm512_set1_epi8(char(-s.limit)), _mm512_set1_epi8(char(s.limit))};
  const __m512 rows[3] = {_mm512_castsi512_ps(_mm512_shuffle_epi32(h.magic, _MM_PERM_AAAA)), _mm512_castsi512_ps(_mm512_shuffle_epi32(h.magic, _MM_PERM_BBBB)),
                          _mm512_castsi512_ps(_mm512_shuffle_epi32(h.magic, _MM_PERM_CCCC))};
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sum[3];
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) {
    int8_t* const to = f.mantissas[h.row + r] + h.channel;
    sum[r] = _mm512_setzero_si512();
    if (Parts == 2) {
      const float* const first = f.park[h.row + r];
      const __m512i m = mantissas_of<C == Clamp::kAny>(_mm512_add_ps(_mm512_load_ps(first), rows[r]), _mm512_add_ps(_mm512_load_ps(first + 16), rows[r]),
                                                       _mm512_add_ps(_mm512_load_ps(first + 32), rows[r]), _mm512_add_ps(_mm512_load_ps(first + 48), rows[r]), k);
      _mm512_storeu_si512(to, m);
      sum[r] = _mm512_dpbusd_epi32(sum[r], ones, m);
    }
    const __m512i m = mantissas_of<C == Clamp::kAny>(_mm512_add_ps(h.y[r][0], rows[r]), _mm512_add_ps(h.y[r][1], rows[r]), _mm512_add_ps(h.y[r][2], rows[r]),
                                                     _mm512_add_ps(h.y[r][3], rows[r]), k);
    _mm512_storeu_si512(to + 64 * (Parts - 1), m);
    sum[r] = _mm512_dpbusd_epi32(sum[r], ones, m);
  }
  const __m512i repay = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), reduce_3_rows<Add>(sum[0], sum[1], sum[2])), unsigned(s.storage - 1));
  const __m128i magic = _mm512_castsi512_si128(h.magic), start = _mm_add_epi32(magic, _mm512_castsi512_si128(repay)), pairs = _mm_unpacklo_epi32(start, magic);
  const int block = h.channel / (64 * Parts);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(f.records[h.row] + block), pairs);
  _mm_storeh_pd(reinterpret_cast<double*>(f.records[h.row + 1] + block), _mm_castsi128_pd(pairs));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(f.records[h.row + 2] + block), _mm_unpackhi_epi32(start, magic));
}

// Residual and clamp of new sums of 64 channels; gives the largest magnitudes by lane.
template <Clamp C>
DSCONV_INLINE void clamp_half(const FusedArgs& f, const __m512 (&sum)[3][4], int row, int channel, __m512 (&y)[3][4], __m512i (&largest)[3]) {
  const FusedSpec& s = *f.spec;
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) y[r][v] = sum[r][v];
  }
  if (s.residual_kind == FusedSpec::kImage) {
    const int64_t block = unsigned(channel) / unsigned(s.residual_block);
    DSCONV_UNROLL
    for (int r = 0; r < 3; r++) {
      // M * scale as (magic + M * scale) - magic, which is exact, and NaN for a block that is.
      const __m512i magic = _mm512_set1_epi32(int32_t(f.residual_record[row + r][block].magic));
      const int8_t* const x = f.residual_x[row + r] + channel;
      DSCONV_UNROLL
      for (int v = 0; v < 4; v++) {
        const __m512i m = _mm512_add_epi32(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 16 * v))), magic);
        y[r][v] = _mm512_add_ps(y[r][v], _mm512_sub_ps(_mm512_castsi512_ps(m), _mm512_castsi512_ps(magic)));
      }
    }
  }
  const __m512 lower = _mm512_set1_ps(s.lower), upper = _mm512_set1_ps(s.upper);
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) {
      y[r][v] = clamp<C>(y[r][v], lower, upper);
      const __m512i magnitude = magnitude_of<C>(y[r][v]);
      largest[r] = v == 0 ? magnitude : _mm512_max_epu32(largest[r], magnitude);
    }
  }
}

// Values of 3 rows to the memory of FusedArgs.
DSCONV_INLINE void park_half(FusedArgs& f, const __m512 (&y)[3][4], int row, int at) {
  DSCONV_UNROLL
  for (int r = 0; r < 3; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) _mm512_store_ps(f.park[row + r] + at + 16 * v, y[r][v]);
  }
}

// Magic numbers of a block whose last sums are these. False: a block is not finite or huge, and was written in the general form.
template <Clamp C, int Parts>
DSCONV_INLINE bool take_half(FusedArgs& f, const __m512 (&sum)[3][4], HalfBlock& h) {
  const int mantissa = f.spec->mantissa;
  __m512i largest[3];
  clamp_half<C>(f, sum, h.row, h.channel + 64 * (Parts - 1), h.y, largest);
  if (Parts == 2) {
    DSCONV_UNROLL
    for (int r = 0; r < 3; r++) largest[r] = _mm512_max_epu32(largest[r], load(f.largest[h.row + r]));
  }
  // A block of zeros gets a scale at which all that counts as zero becomes 0; blocks between the two, like those that are not finite or huge, are special.
  constexpr uint32_t kSmallest = kMinBiased + 8;
  const __m512i most = reduce_3_rows<Max>(largest[0], largest[1], largest[2]), smallest = _mm512_set1_epi32(int(kSmallest << 23));
  const uint32_t highest = (uint32_t(kMaxMagicExponent + 127 + mantissa - 2) << 23) | 0x7FFFFF;
  const __mmask16 is_special = _mm512_cmpgt_epu32_mask(_mm512_sub_epi32(most, smallest), _mm512_set1_epi32(int(highest - (kSmallest << 23))));
  if (__builtin_expect(_mm512_mask_cmpneq_epu32_mask(is_special, most, _mm512_setzero_si512()), 0)) {
    park_half(f, h.y, h.row, 64 * (Parts - 1));
    write_special(f, h.channel, 64 * Parts, h.row, min_of(3, f.rows - h.row));
    return false;
  }
  const __m512i shifted = _mm512_add_epi32(_mm512_max_epu32(most, smallest), _mm512_set1_epi32((23 - (mantissa - 2)) << 23));
  h.magic = _mm512_ternarylogic_epi32(shifted, _mm512_set1_epi32(int(0xFF800000)), _mm512_set1_epi32(0x400000), 0xEA);  // (a & b) | c
  return true;
}

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
