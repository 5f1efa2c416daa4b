// AVX-512: from float sums in registers to the rows of an image (kernels.h, FusedArgs), with as few stores as can be: a Zen 5 core does one of 512 bits
// in two cycles.
//
// Rounding needs no multiplication and no conversion: adding the magic number of the block (image.h) to a value leaves its mantissa, rounded half
// to even, in the low bits of the sum.
#pragma once

#include "kernels_512_bfp.h"

namespace dsconv {
namespace {

// The low words of two vectors; quarters of two vectors packed together, back in order.
struct WordOrders {
  alignas(64) int16_t even[32];
  alignas(64) int64_t quarters[8];
};
constexpr WordOrders kOrders = {{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62}, {0, 2, 4, 6, 1, 3, 5, 7}};

// Lanes of vector v of so many channels.
DSCONV_INLINE __mmask16 lanes_of(int channels, int v) {
  const int left = channels - 16 * v;
  return left >= 16 ? 0xFFFF : left <= 0 ? 0 : __mmask16((1 << left) - 1);
}

// What is simpler after relu and relu6 with mantissas of 8 bits, the most frequent cases: packing cuts off 128 already, and the largest value is the largest
// magnitude (it is never -0: biases are not, and NaN comes with a positive sign from records alone).
enum class Clamp { kRelu, kRelu6, kAny };
DSCONV_INLINE Clamp clamp_of(const FusedSpec& s) {
  // Sums of other float32 tensors may be any NaN.
  if (s.lower != 0 || s.limit != 127 || s.residual_kind == FusedSpec::kF32) return Clamp::kAny;
  return s.upper > 3.4e38f ? Clamp::kRelu : Clamp::kRelu6;
}
template <Clamp C>
DSCONV_INLINE __m512 clamp(__m512 y, __m512 lower, __m512 upper) {
  // NaN is the second operand and stays.
  y = _mm512_max_ps(C == Clamp::kAny ? lower : _mm512_setzero_ps(), y);
  return C == Clamp::kRelu ? y : _mm512_min_ps(upper, y);
}
template <Clamp C>
DSCONV_INLINE __m512i magnitude_of(__m512 y) {
  return C == Clamp::kAny ? _mm512_and_si512(_mm512_castps_si512(y), _mm512_set1_epi32(0x7FFFFFFF)) : _mm512_castps_si512(y);
}

struct RoundConstants {
  __m512i even, quarters, low, high;
};

// Mantissas of 64 channels from values with the magic number added; Cut: to the limits.
template <bool Cut = true>
DSCONV_INLINE __m512i mantissas_of(__m512 a, __m512 b, __m512 d, __m512 e, const RoundConstants& k) {
  const __m512i ab = _mm512_permutex2var_epi16(_mm512_castps_si512(a), k.even, _mm512_castps_si512(b));
  const __m512i de = _mm512_permutex2var_epi16(_mm512_castps_si512(d), k.even, _mm512_castps_si512(e));
  const __m512i m = _mm512_permutexvar_epi64(k.quarters, _mm512_packs_epi16(ab, de));
  return Cut ? _mm512_min_epi8(_mm512_max_epi8(m, k.low), k.high) : m;
}

DSCONV_INLINE __m512 magic_of_row(__m512i magic, int r) { return _mm512_castsi512_ps(_mm512_permutexvar_epi32(_mm512_set1_epi32(kLaneOfRow[r]), magic)); }

// Some rows of a block that is not finite, or huge, in the general form; all of it is parked.
inline __attribute__((noinline)) void write_special(FusedArgs& f, int c0, int width, int row, int rows) {
  const FusedSpec& s = *f.spec;
  QuantizeArgs q;
  q.source = f.park[row];
  q.ld = kFusedChannels;
  q.rows = rows;
  q.length = width;
  q.mantissa = s.mantissa;
  q.storage = s.storage;
  q.plain = false;
  for (int r = 0; r < q.rows; r++) {
    q.mantissas[r] = f.mantissas[row + r] + c0;
    q.records[r] = f.records[row + r] + c0 / s.block;
    q.sums[r] = nullptr;
  }
  f.huge |= quantize__avx512vnni(q);
}

DSCONV_INLINE void write_records(FusedArgs& f, __m512i magic, const __m512i (&sum)[6], int block) {
  const __m512i repay = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), reduce_rows<Add>(sum)), unsigned(f.spec->storage - 1));
  const __m512i start = _mm512_add_epi32(magic, repay);
  // Pairs {start, magic}: rows 0, 1 and 4, 5 in the low halves, 2 and 3 in the high half of lane 0.
  const __m512i lo = _mm512_unpacklo_epi32(start, magic), hi = _mm512_unpackhi_epi32(start, magic);
  const __m128i a = _mm512_castsi512_si128(lo), b = _mm512_castsi512_si128(hi), c = _mm512_extracti32x4_epi32(lo, 2);
  const auto low = [&](int r, __m128i pairs) { _mm_storel_epi64(reinterpret_cast<__m128i*>(f.records[r] + block), pairs); };
  const auto high = [&](int r, __m128i pairs) { _mm_storeh_pd(reinterpret_cast<double*>(f.records[r] + block), _mm_castsi128_pd(pairs)); };
  low(0, a), high(1, a), low(2, b), high(3, b), low(4, c), high(5, c);
}

// Channels at .. of the block that starts at c0 and is `width` channels wide.
struct Run {
  int c0, at, width, block;  // block: its number
  int channel() const { return c0 + at; }
};

template <int Vectors, bool Whole, int Residual>
DSCONV_INLINE void add_residual(const FusedArgs& f, __m512 (&y)[kTileRows][Vectors], const Run& run) {
  const int64_t c = run.channel();
  // 4 vectors may lie in two blocks of 32.
  const int64_t block = Residual == FusedSpec::kImage ? unsigned(c) / unsigned(f.spec->residual_block) : 0;
  const int64_t next_block = Residual == FusedSpec::kImage && Vectors > 2 ? unsigned(c + 32) / unsigned(f.spec->residual_block) : 0;
  DSCONV_UNROLL
  for (int r = 0; r < kTileRows; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) {
      const __mmask16 lanes = Whole ? 0xFFFF : lanes_of(run.width - run.at, v);
      if (Residual == FusedSpec::kF32) {
        y[r][v] = _mm512_add_ps(y[r][v], _mm512_maskz_loadu_ps(lanes, f.residual[r] + c + 16 * v));
      } else {
        // M * scale as (magic + M * scale) - magic, which is exact, and NaN for a block that is.
        const __m512i magic = _mm512_set1_epi32(int32_t(f.residual_record[r][v >= 2 ? next_block : block].magic));
        const __m512i m = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, f.residual_x[r] + c + 16 * v));
        y[r][v] = _mm512_add_ps(y[r][v], _mm512_sub_ps(_mm512_castsi512_ps(_mm512_add_epi32(m, magic)), _mm512_castsi512_ps(magic)));
      }
    }
  }
}

// Vectors of 16 channels: sums to results. Those of the last channels of a block finish it, with what was parked before; the others are parked. `at` is a multiple of 32, and of 64 for 4 vectors. All six rows, of which
// surplus ones repeat the last. Affine: scale and bias are applied.
template <int Vectors, bool Whole, bool Affine, Clamp C>
DSCONV_INLINE void finish_vectors(FusedArgs& f, const __m512 (&sum)[kTileRows][Vectors], const Run& run) {
  const FusedSpec& s = *f.spec;
  const int c0 = run.c0, at = run.at, width = run.width;
  // All loops over y are unrolled: an index that is no constant would keep it in memory.
  __m512 y[kTileRows][Vectors];
  DSCONV_UNROLL
  for (int v = 0; v < Vectors; v++) {
    __m512 scale = _mm512_setzero_ps(), bias = scale;
    if (Affine) {
      scale = s.scale ? _mm512_loadu_ps(s.scale + c0 + at + 16 * v) : _mm512_set1_ps(1);
      if (s.bias) bias = _mm512_loadu_ps(s.bias + c0 + at + 16 * v);
    }
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) y[r][v] = Affine ? _mm512_fmadd_ps(sum[r][v], scale, bias) : sum[r][v];
  }
  if (s.residual_kind == FusedSpec::kImage) add_residual<Vectors, Whole, FusedSpec::kImage>(f, y, run);
  else if (s.residual_kind == FusedSpec::kF32) add_residual<Vectors, Whole, FusedSpec::kF32>(f, y, run);
  const __m512 lower = _mm512_set1_ps(s.lower), upper = _mm512_set1_ps(s.upper);
  __m512i largest[6];
  DSCONV_UNROLL
  for (int v = 0; v < Vectors; v++) {
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) {
      y[r][v] = clamp<C>(y[r][v], lower, upper);
      if (!Whole) y[r][v] = _mm512_maskz_mov_ps(lanes_of(width - at, v), y[r][v]);
      largest[r] = v == 0 ? magnitude_of<C>(y[r][v]) : _mm512_max_epu32(largest[r], magnitude_of<C>(y[r][v]));
    }
  }
  const auto park = [&] {
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) {
      DSCONV_UNROLL
      for (int v = 0; v < Vectors; v++) _mm512_store_ps(f.park[r] + at + 16 * v, y[r][v]);
    }
  };
  if (at > 0) {
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) largest[r] = _mm512_max_epu32(largest[r], load(f.largest[r]));
  }
  if (at + 16 * Vectors < width) {
    park();
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) _mm512_store_si512(f.largest[r], largest[r]);
    return;
  }
  const __m512i e = _mm512_and_si512(reduce_rows<Max>(largest), _mm512_set1_epi32(0x7F800000));
  const __m512i highest = _mm512_set1_epi32(int(uint32_t(kMaxMagicExponent + 127 + s.mantissa - 2) << 23));
  if (__builtin_expect(_mm512_mask_cmpgt_epu32_mask(0x30F, e, highest), 0)) {  // NaN, infinity or huge
    park();
    return write_special(f, c0, width, 0, f.rows);
  }
  __m512i magic = _mm512_or_si512(_mm512_add_epi32(e, _mm512_set1_epi32((23 - (s.mantissa - 2)) << 23)), _mm512_set1_epi32(0x400000));
  magic = _mm512_mask_mov_epi32(magic, _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(int(kMinBiased << 23))), _mm512_set1_epi32(int(kMagicBits)));
  const RoundConstants k{load(kOrders.even), load(kOrders.quarters), _mm512_set1_epi8(char(-s.limit)), _mm512_set1_epi8(char(s.limit))};
  const __m512i ones = _mm512_set1_epi8(1);
  const __m512 zero = _mm512_setzero_ps();
  __m512i total[6];
  // The 64 channels that end with these vectors.
  const bool is_second_half = Vectors < 4 && (at & 32);
  const int group = at & ~63, left = width - group;
  const __mmask64 bytes = (Vectors == 4 && Whole) || left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
  DSCONV_UNROLL
  for (int r = 0; r < kTileRows; r++) {
    const __m512 row = magic_of_row(magic, r);
    const __m512 one = _mm512_add_ps(y[r][0], row), two = Vectors > 1 ? _mm512_add_ps(y[r][Vectors > 1], row) : zero;
    __m512i m;
    if constexpr (Vectors == 4) {
      m = mantissas_of<C == Clamp::kAny>(one, two, _mm512_add_ps(y[r][2], row), _mm512_add_ps(y[r][3], row), k);
    } else if (is_second_half) {
      m = mantissas_of<C == Clamp::kAny>(_mm512_add_ps(_mm512_load_ps(f.park[r] + group), row), _mm512_add_ps(_mm512_load_ps(f.park[r] + group + 16), row), one, two, k);
    } else {
      m = mantissas_of<C == Clamp::kAny>(one, two, zero, zero, k);
    }
    m = _mm512_maskz_mov_epi8(bytes, m);
    _mm512_mask_storeu_epi8(f.mantissas[r] + c0 + group, bytes, m);
    total[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, m);
  }
  for (int n = 0; n < group; n += 64) {
    DSCONV_UNROLL
    for (int r = 0; r < kTileRows; r++) {
      const __m512 row = magic_of_row(magic, r);
      const float* const parked = f.park[r] + n;
      const __m512i m = mantissas_of<C == Clamp::kAny>(_mm512_add_ps(_mm512_load_ps(parked), row), _mm512_add_ps(_mm512_load_ps(parked + 16), row),
                                     _mm512_add_ps(_mm512_load_ps(parked + 32), row), _mm512_add_ps(_mm512_load_ps(parked + 48), row), k);
      _mm512_storeu_si512(f.mantissas[r] + c0 + n, m);
      total[r] = _mm512_dpbusd_epi32(total[r], ones, m);
    }
  }
  write_records(f, magic, total, run.block);
}

template <int Vectors, bool Affine>
DSCONV_INLINE void finish_channels(FusedArgs& f, const __m512 (&sum)[kTileRows][Vectors], const Run& run) {
  if (__builtin_expect(run.at + 16 * Vectors > run.width, 0)) return finish_vectors<Vectors, false, Affine, Clamp::kAny>(f, sum, run);
  if (clamp_of(*f.spec) == Clamp::kAny) finish_vectors<Vectors, true, Affine, Clamp::kAny>(f, sum, run);
  else finish_vectors<Vectors, true, Affine, Clamp::kRelu6>(f, sum, run);
}

// Sums in memory. Vectors beyond the last channel are read and left.
template <int Vectors>
void finish_loaded(FusedArgs& f, const float* sums, size_t ld, const Run& run) {
  __m512 y[kTileRows][Vectors];
  DSCONV_UNROLL
  for (int r = 0; r < kTileRows; r++) {
    const float* const row = sums + (r < f.rows ? r : f.rows - 1) * ld;
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) y[r][v] = _mm512_loadu_ps(row + 16 * v);
  }
  if (f.spec->scale || f.spec->bias) finish_channels<Vectors, true>(f, y, run);
  else finish_channels<Vectors, false>(f, y, run);
}

// The channels from c0 on, where a block starts, in runs that finish_vectors takes: visit(vectors, run).
template <typename Visit>
DSCONV_INLINE void each_run(const FusedSpec& s, int c0, int width, const Visit& visit) {
  Run run{c0, 0, 0, c0 ? int(unsigned(c0) / unsigned(s.block)) : 0};
  for (const int end = c0 + width; run.c0 < end; run.c0 += s.block, run.block++) {
    run.width = min_of(s.block, s.channels - run.c0);
    for (run.at = 0; run.at < run.width;) {
      const int left = run.width - run.at;
      const int vectors = left > 48 && run.at % 64 == 0 ? 4 : left > 16 ? 2 : 1;
      visit(vectors, run);
      run.at += 16 * vectors;
    }
  }
}

void finish_fused__avx512vnni(FusedArgs& f, const float* sums, size_t ld, int c0, int width) {
  each_run(*f.spec, c0, width, [&](int vectors, const Run& run) {
    const float* const from = sums + (run.channel() - c0);
    switch (vectors) {
      case 4: return finish_loaded<4>(f, from, ld, run);
      case 2: return finish_loaded<2>(f, from, ld, run);
      default: return finish_loaded<1>(f, from, ld, run);
    }
  });
}

}  // namespace
}  // namespace dsconv
