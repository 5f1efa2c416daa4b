// AVX-512 with VNNI. The inner tile is 6 pixels by 32 channels: 12 accumulators, 12 float sums, 2 weight vectors, 1 broadcast, 1 mask.
#include <immintrin.h>

#define DSCONV_VECTOR_ROWS 6
#include "kernels_vector.h"

namespace dsconv {
namespace {

#define DSCONV_INLINE inline __attribute__((always_inline))
#define DSCONV_UNROLL _Pragma("GCC unroll 8")

DSCONV_INLINE __m512i load(const void* p) { return _mm512_loadu_si512(p); }
DSCONV_INLINE __m512i broadcast_dword(const int8_t* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  __m512i x = _mm512_set1_epi32(v);
  asm("" : "+v"(x));  // one load for both vectors, not one in each dot product
  return x;
}

// A set of 4 depths of a weight vector.
template <int Storage, int Set>
DSCONV_INLINE __m512i unpack(__m512i w) {
  if (Storage == 8) return w;
  const __m512i mask = _mm512_set1_epi8((1 << Storage) - 1);
  return _mm512_and_si512(Set == 0 ? w : _mm512_srli_epi16(w, Set * Storage), mask);
}

// All sets of one step; Step: how many steps further on.
template <int Storage, int Rows, int Vectors, int Set, int Step>
DSCONV_INLINE void dot_sets(__m512i (&acc)[Rows][Vectors], const uint8_t* w, const int8_t* const (&x)[Rows]) {
  if constexpr (Set < 8 / Storage) {
    __m512i u[Vectors];
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) u[v] = unpack<Storage, Set>(_mm512_load_si512(w + 64 * (Step * Vectors + v)));
    DSCONV_UNROLL
    for (int r = 0; r < Rows; r++) {
      const __m512i a = broadcast_dword(x[r] + 4 * Set + Step * (32 / Storage));
      DSCONV_UNROLL
      for (int v = 0; v < Vectors; v++) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], u[v], a);
    }
    dot_sets<Storage, Rows, Vectors, Set + 1, Step>(acc, w, x);
  }
}

template <int Storage, int Rows, int Vectors, bool Plain, bool PerBlock>
void tile(const TileArgs& a, const uint8_t* weights, const float* all_scales, float* out) {
  __m512 sum[Rows][Vectors];
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) sum[r][v] = _mm512_setzero_ps();
  }
  const TapRows* const end = a.taps + a.tap_count;
  for (const TapRows* tap = a.taps; tap != end; tap++) {
    const int8_t* x[Rows];
    DSCONV_UNROLL
    for (int r = 0; r < Rows; r++) x[r] = tap->x[r];
    const uint8_t* w = weights + tap->tap * a.tap_weights * Vectors;
    const float* scales = PerBlock ? all_scales + tap->tap * a.tap_scales * Vectors : nullptr;
    for (int64_t j = 0; j < a.blocks; j++) {
      __m512i acc[Rows][Vectors];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const __m512i start = _mm512_set1_epi32(tap->record[r][j].start);
        DSCONV_UNROLL
        for (int v = 0; v < Vectors; v++) acc[r][v] = start;
      }
      const int steps = j == a.blocks - 1 ? a.last_steps : a.steps;
      int step = 0;
      for (; step + 4 <= steps; step += 4) {
        dot_sets<Storage, Rows, Vectors, 0, 0>(acc, w, x);
        dot_sets<Storage, Rows, Vectors, 0, 1>(acc, w, x);
        dot_sets<Storage, Rows, Vectors, 0, 2>(acc, w, x);
        dot_sets<Storage, Rows, Vectors, 0, 3>(acc, w, x);
        w += 4 * 64 * Vectors;
        DSCONV_UNROLL
        for (int r = 0; r < Rows; r++) x[r] += 4 * 32 / Storage;
      }
      for (; step < steps; step++) {
        dot_sets<Storage, Rows, Vectors, 0, 0>(acc, w, x);
        w += 64 * Vectors;
        DSCONV_UNROLL
        for (int r = 0; r < Rows; r++) x[r] += 32 / Storage;
      }
      const int back = a.block - steps * (32 / Storage);
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        x[r] += back;
        const __m512 magic = _mm512_castsi512_ps(_mm512_set1_epi32(int32_t(tap->record[r][j].magic)));
        DSCONV_UNROLL
        for (int v = 0; v < Vectors; v++) {
          if (Plain) {
            // Convert, multiply by the filter's scale first: P times a huge activation scale alone could overflow.
            __m512 p = _mm512_cvtepi32_ps(acc[r][v]);
            if (PerBlock) p = _mm512_mul_ps(p, _mm512_load_ps(scales + 16 * v));
            sum[r][v] = _mm512_fmadd_ps(p, magic, sum[r][v]);
          } else {
            // The accumulator already is the float magic + P * scale.
            const __m512 p = _mm512_sub_ps(_mm512_castsi512_ps(acc[r][v]), magic);
            sum[r][v] = PerBlock ? _mm512_fmadd_ps(p, _mm512_load_ps(scales + 16 * v), sum[r][v]) : _mm512_add_ps(p, sum[r][v]);
          }
        }
      }
      scales += PerBlock ? 16 * Vectors : 0;
    }
  }
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) _mm512_storeu_ps(out + r * a.ldo + 16 * v, sum[r][v]);
  }
}

// The shift biases: out += ΣM * scale * shift, rarely used.
void add_shifts(const TileArgs& a, int first, int vectors) {
  for (int r = 0; r < a.count; r++) {
    for (int v = 0; v < vectors; v++) {
      float* out = a.out + r * a.ldo + 16 * (first + v);
      __m512 sum = _mm512_loadu_ps(out);
      for (int t = 0; t < a.tap_count; t++) {
        const float* totals = a.sums + (a.taps[t].record[r] - a.records);
        const float* shift = a.shifts + first * a.vector_scales + a.taps[t].tap * a.tap_scales * vectors + 16 * v;
        for (int j = 0; j < a.blocks; j++) sum = _mm512_fmadd_ps(_mm512_set1_ps(totals[j]), _mm512_load_ps(shift + 16 * vectors * j), sum);
      }
      _mm512_storeu_ps(out, sum);
    }
  }
}

// All channel tiles of the run.
template <int Storage, int Rows, bool Plain, bool PerBlock>
void tiles(const TileArgs& a) {
  int v = 0;
  for (; v + 2 <= a.vectors; v += 2) tile<Storage, Rows, 2, Plain, PerBlock>(a, a.weights + v * a.vector_weights, a.scales + v * a.vector_scales, a.out + 16 * v);
  if (v < a.vectors) tile<Storage, Rows, 1, Plain, PerBlock>(a, a.weights + v * a.vector_weights, a.scales + v * a.vector_scales, a.out + 16 * v);
}

template <int Storage, int Rows>
void tile_forms(const TileArgs& a) {
  if (a.scales) {
    if (a.plain) tiles<Storage, Rows, true, true>(a);
    else tiles<Storage, Rows, false, true>(a);
  } else {
    if (a.plain) tiles<Storage, Rows, true, false>(a);
    else tiles<Storage, Rows, false, false>(a);
  }
}

template <int Storage>
void dsconv2d_6x32__avx512vnni(const TileArgs& a) {
  switch (a.count) {
    case 6: tile_forms<Storage, 6>(a); break;
    case 5: tile_forms<Storage, 5>(a); break;
    case 4: tile_forms<Storage, 4>(a); break;
    case 3: tile_forms<Storage, 3>(a); break;
    case 2: tile_forms<Storage, 2>(a); break;
    default: tile_forms<Storage, 1>(a); break;
  }
  if (a.shifts) {
    for (int v = 0; v < a.vectors; v += 2) add_shifts(a, v, min_of(2, a.vectors - v));
  }
}

// ---- epilogue --------------------------------------------------------------------------------------------------------------

template <int Act, bool Residual, bool Scale>
void epilogue_form(const EpilogueArgs& e) {
  const __m512 zero = _mm512_setzero_ps(), six = _mm512_set1_ps(6.0f), uniform = _mm512_set1_ps(e.alpha);
  for (int c = 0; c < e.channels; c += 16) {
    const __mmask16 lanes = e.channels - c >= 16 ? 0xFFFF : __mmask16((1 << (e.channels - c)) - 1);
    const __m512 bias = e.bias ? _mm512_loadu_ps(e.bias + c) : zero;
    const __m512 scale = Scale ? _mm512_loadu_ps(e.scale + c) : zero;
    const __m512 alpha = Act == kPrelu ? _mm512_loadu_ps(e.alphas + c) : uniform;
    for (int r = 0; r < e.rows; r++) {
      float* at = e.tile + r * e.ld + c;
      __m512 v = _mm512_maskz_loadu_ps(lanes, at);
      v = Scale ? _mm512_fmadd_ps(v, scale, bias) : _mm512_add_ps(v, bias);
      if (Residual) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, e.residual[r] + c));
      // max and min give their second operand where one is NaN.
      if (Act == kRelu || Act == kRelu6) v = _mm512_max_ps(zero, v);
      if (Act == kRelu6) v = _mm512_min_ps(six, v);
      if (Act == kLeakyRelu || Act == kPrelu) v = _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ), v, alpha);
      _mm512_mask_storeu_ps(at, lanes, v);
    }
  }
}

template <int Act>
void epilogue_act(const EpilogueArgs& e) {
  if (e.has_residual) {
    if (e.scale) epilogue_form<Act, true, true>(e);
    else epilogue_form<Act, true, false>(e);
  } else {
    if (e.scale) epilogue_form<Act, false, true>(e);
    else epilogue_form<Act, false, false>(e);
  }
}

void epilogue__avx512vnni(const EpilogueArgs& e) {
  switch (e.activation) {
    case kLinear: return epilogue_act<kLinear>(e);
    case kRelu: return epilogue_act<kRelu>(e);
    case kRelu6: return epilogue_act<kRelu6>(e);
    case kLeakyRelu: return epilogue_act<kLeakyRelu>(e);
    case kPrelu: return epilogue_act<kPrelu>(e);
    default: return epilogue_scalar(e);
  }
}

// ---- block floating point ----------------------------------------------------------------------------------------------------

struct Max {
  static __m512i of(__m512i a, __m512i b) { return _mm512_max_epu32(a, b); }
};
struct Add {
  static __m512i of(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
};

// Six vectors to one: lanes 0..3 hold the reductions of rows 0..3, lanes 8 and 9 those of rows 4 and 5.
template <typename Op>
DSCONV_INLINE __m512i reduce_rows(const __m512i (&m)[6]) {
  __m512i p[3];
  DSCONV_UNROLL
  for (int n = 0; n < 3; n++) p[n] = Op::of(_mm512_unpacklo_epi32(m[2 * n], m[2 * n + 1]), _mm512_unpackhi_epi32(m[2 * n], m[2 * n + 1]));
  const __m512i x = Op::of(_mm512_unpacklo_epi64(p[0], p[1]), _mm512_unpackhi_epi64(p[0], p[1]));
  const __m512i y = Op::of(p[2], _mm512_unpackhi_epi64(p[2], p[2]));
  const __m512i z = Op::of(_mm512_shuffle_i32x4(x, y, 0x44), _mm512_shuffle_i32x4(x, y, 0xEE));
  return Op::of(z, _mm512_shuffle_i32x4(z, z, 0xB1));
}
constexpr int kLaneOfRow[6] = {0, 1, 2, 3, 8, 9};

bool quantize__avx512vnni(const QuantizeArgs& q) {
  const float* x[6];
  int8_t* to[6];
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) {
    const int row = r < q.rows ? r : q.rows - 1;  // surplus rows repeat the last
    x[r] = q.source + row * q.ld;
    to[r] = q.mantissas[row];
  }
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  __m512i acc[6];
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) acc[r] = _mm512_setzero_si512();
  const int whole = q.length & ~15;
  const __mmask16 tail = __mmask16((1 << (q.length & 15)) - 1);
  for (int c = 0; c < whole; c += 16) {
    DSCONV_UNROLL
    for (int r = 0; r < 6; r++) acc[r] = _mm512_max_epu32(acc[r], _mm512_and_si512(load(x[r] + c), magnitude));
  }
  if (tail) {
    DSCONV_UNROLL
    for (int r = 0; r < 6; r++) acc[r] = _mm512_max_epu32(acc[r], _mm512_and_si512(_mm512_maskz_loadu_epi32(tail, x[r] + whole), magnitude));
  }
  const __m512i largest = reduce_rows<Max>(acc);
  const __m512i exponent = _mm512_and_si512(largest, _mm512_set1_epi32(0x7F800000));
  // Blocks outside of the magic form's range (zero, NaN, infinity, huge) are rare and done one by one at the end.
  const uint32_t highest = uint32_t(kMaxMagicExponent + 127 + q.mantissa - 2);
  const __m512i biased = _mm512_srli_epi32(largest, 23);
  const __mmask16 special = _mm512_cmpgt_epu32_mask(_mm512_sub_epi32(biased, _mm512_set1_epi32(kMinBiased)), _mm512_set1_epi32(int(highest - kMinBiased)));
  const __mmask16 dead = _mm512_cmplt_epu32_mask(biased, _mm512_set1_epi32(kMinBiased)) | _mm512_cmpeq_epi32_mask(biased, _mm512_set1_epi32(255));
  alignas(64) float inverse[16];
  _mm512_store_si512(inverse, _mm512_maskz_sub_epi32(__mmask16(~dead), _mm512_set1_epi32((254 + q.mantissa - 2) << 23), exponent));

  const int limit = (1 << (q.mantissa - 1)) - 1;
  const __m512i high8 = _mm512_set1_epi8(char(limit)), low8 = _mm512_set1_epi8(char(-limit)), ones = _mm512_set1_epi8(1);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) acc[r] = _mm512_setzero_si512();
  int c = 0;
  for (; c + 64 <= q.length; c += 64) {
    DSCONV_UNROLL
    for (int r = 0; r < 6; r++) {
      const __m512 s = _mm512_set1_ps(inverse[kLaneOfRow[r]]);
      const float* from = x[r] + c;
      const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from), s)), b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16), s));
      const __m512i d = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 32), s)), e = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 48), s));
      __m512i m = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(d, e)));
      m = _mm512_min_epi8(_mm512_max_epi8(m, low8), high8);
      _mm512_storeu_si512(to[r] + c, m);
      acc[r] = _mm512_dpbusd_epi32(acc[r], ones, m);
    }
  }
  for (; c < q.length; c += 16) {
    const __mmask16 lanes = q.length - c >= 16 ? 0xFFFF : tail;
    const __m512i high = _mm512_set1_epi32(limit), low = _mm512_set1_epi32(-limit);
    DSCONV_UNROLL
    for (int r = 0; r < 6; r++) {
      const __m512 s = _mm512_set1_ps(inverse[kLaneOfRow[r]]);
      __m512i m = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x[r] + c), s));
      m = _mm512_min_epi32(_mm512_max_epi32(m, low), high);
      _mm512_mask_cvtepi32_storeu_epi8(to[r] + c, lanes, m);
      acc[r] = _mm512_mask_add_epi32(acc[r], lanes, acc[r], m);
    }
  }
  const __m512i sums = reduce_rows<Add>(acc);
  const __m512i repay = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), sums), unsigned(q.storage - 1));
  alignas(64) int32_t start[16], magic[16];
  if (q.plain) {
    _mm512_store_si512(start, repay);
    _mm512_store_si512(magic, _mm512_sub_epi32(exponent, _mm512_set1_epi32((q.mantissa - 2) << 23)));
  } else {
    const __m512i bits = _mm512_or_si512(_mm512_add_epi32(exponent, _mm512_set1_epi32((23 - (q.mantissa - 2)) << 23)), _mm512_set1_epi32(0x400000));
    _mm512_store_si512(magic, bits);
    _mm512_store_si512(start, _mm512_add_epi32(bits, repay));
  }
  for (int r = 0; r < q.rows; r++) *q.records[r] = {start[kLaneOfRow[r]], uint32_t(magic[kLaneOfRow[r]])};
  bool huge = false;
  if ((special | dead) & 0x30F) {
    alignas(64) uint32_t bits[16];
    alignas(64) int32_t total[16];
    _mm512_store_si512(bits, largest);
    _mm512_store_si512(total, sums);
    for (int r = 0; r < q.rows; r++) {
      const int lane = kLaneOfRow[r];
      const bool is_dead = (dead >> lane) & 1;
      if (!(((special | dead) >> lane) & 1)) continue;
      if (is_dead) std::memset(q.mantissas[r], 0, q.length);  // infinity * 0 was NaN
      *q.records[r] = record_of(bits[lane], is_dead ? 0 : total[lane], q.mantissa, q.storage, q.plain, &huge);
    }
  }
  if (q.sums[0]) {
    alignas(64) int32_t total[16];
    _mm512_store_si512(total, sums);
    for (int r = 0; r < q.rows; r++) {
      const bool is_dead = (dead >> kLaneOfRow[r]) & 1;
      *q.sums[r] = scale_of(*q.records[r], q.plain) * (is_dead ? 0.0f : float(total[kLaneOfRow[r]]));
    }
  }
  return huge;
}

// One block of Vectors * 16 channels of 6 rows: the epilogue, and the largest magnitudes.
template <int Vectors, bool Scale, int Residual, bool Whole>  // Residual: 0 none, 1 f32, 2 image; Whole: 6 rows
DSCONV_INLINE void finish_first_block(FinishArgs& f, int n) {
  const FinishSpec& s = *f.spec;
  const FinishRows& p = *f.rows;
  const int64_t c0 = f.c0 + n * Vectors * 16, block = f.c0 / (Vectors * 16) + n, rows = Whole ? 6 : p.rows;
  float* const tile = f.tile + n * Vectors * 16;
  const __m512 lower = _mm512_set1_ps(s.lower), upper = _mm512_set1_ps(s.upper), none = _mm512_setzero_ps();
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  __m512i acc[6];
  __m512 bias[Vectors];
  DSCONV_UNROLL
  for (int v = 0; v < Vectors; v++) bias[v] = s.bias ? _mm512_loadu_ps(s.bias + c0 + 16 * v) : none;
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) {
    float* at = tile + r * f.ld;
    if (r >= rows) {
      acc[r] = acc[r ? r - 1 : 0];
      continue;
    }
    const __m512 scale = Residual == 2 ? _mm512_set1_ps(scale_of(p.residual_record[r][block], false)) : none;
    acc[r] = _mm512_setzero_si512();
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v++) {
      __m512 y = _mm512_loadu_ps(at + 16 * v);
      y = Scale ? _mm512_fmadd_ps(y, _mm512_loadu_ps(s.scale + c0 + 16 * v), bias[v]) : _mm512_add_ps(y, bias[v]);
      if (Residual == 1) y = _mm512_add_ps(y, _mm512_loadu_ps(p.residual[r] + c0 + 16 * v));
      if (Residual == 2) {
        const __m512i m = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p.residual_x[r] + c0 + 16 * v)));
        y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(m), scale, y);  // the product is exact
      }
      y = _mm512_min_ps(upper, _mm512_max_ps(lower, y));  // NaN is the second operand and stays
      _mm512_storeu_ps(at + 16 * v, y);
      acc[r] = _mm512_max_epu32(acc[r], _mm512_and_si512(_mm512_castps_si512(y), magnitude));
    }
  }
  if (s.has_f32) {
    for (int r = 0; r < rows; r++) {
      for (int v = 0; v < Vectors; v++) _mm512_storeu_ps(p.f32[r] + c0 + 16 * v, _mm512_loadu_ps(tile + r * f.ld + 16 * v));
    }
  }
  _mm512_store_si512(f.largest[n], reduce_rows<Max>(acc));
}

// Mantissas and records of the block.
template <int Vectors, bool Whole>
DSCONV_INLINE bool finish_second_block(FinishArgs& f, int n) {
  const FinishSpec& s = *f.spec;
  const FinishRows& p = *f.rows;
  const int64_t c0 = f.c0 + n * Vectors * 16, block = f.c0 / (Vectors * 16) + n, rows = Whole ? 6 : p.rows;
  const float* const tile = f.tile + n * Vectors * 16;
  const __m512i largest = _mm512_load_si512(f.largest[n]);
  const __m512i exponent = _mm512_and_si512(largest, _mm512_set1_epi32(0x7F800000));
  const __m512i biased = _mm512_srli_epi32(largest, 23);
  const uint32_t highest = uint32_t(kMaxMagicExponent + 127 + s.mantissa - 2);
  const __mmask16 special = _mm512_cmpgt_epu32_mask(_mm512_sub_epi32(biased, _mm512_set1_epi32(kMinBiased)), _mm512_set1_epi32(int(highest - kMinBiased)));
  if (__builtin_expect(special & 0x30F, 0)) {
    // Zero, NaN, infinity or huge somewhere: the general form does all rows.
    QuantizeArgs q;
    q.source = tile;
    q.ld = f.ld;
    q.rows = rows;
    q.length = Vectors * 16;
    for (int r = 0; r < rows; r++) {
      q.mantissas[r] = p.mantissas[r] + c0;
      q.records[r] = p.records[r] + block;
      q.sums[r] = nullptr;
    }
    q.mantissa = s.mantissa;
    q.storage = s.storage;
    q.plain = false;
    return quantize__avx512vnni(q);
  }
  alignas(64) float inverse[16];
  _mm512_store_si512(inverse, _mm512_sub_epi32(_mm512_set1_epi32((254 + s.mantissa - 2) << 23), exponent));
  const int limit = (1 << (s.mantissa - 1)) - 1;
  const __m512i high = _mm512_set1_epi8(char(limit)), low = _mm512_set1_epi8(char(-limit)), ones = _mm512_set1_epi8(1);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i acc[6];
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) {
    if (r >= rows) {
      acc[r] = acc[r ? r - 1 : 0];
      continue;
    }
    const __m512 scale = _mm512_set1_ps(inverse[kLaneOfRow[r]]);
    const float* from = tile + r * f.ld;
    acc[r] = _mm512_setzero_si512();
    DSCONV_UNROLL
    for (int v = 0; v < Vectors; v += 4) {
      const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16 * v), scale));
      const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16 * v + 16), scale));
      __m512i de = _mm512_setzero_si512();
      if (Vectors > 2) {
        const __m512i d = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16 * v + 32), scale));
        const __m512i e = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16 * v + 48), scale));
        de = _mm512_packs_epi32(d, e);
      }
      __m512i m = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(_mm512_packs_epi32(a, b), de));
      m = _mm512_min_epi8(_mm512_max_epi8(m, low), high);
      if (Vectors > 2) _mm512_storeu_si512(p.mantissas[r] + c0 + 16 * v, m);
      else _mm256_storeu_si256(reinterpret_cast<__m256i*>(p.mantissas[r] + c0 + 16 * v), _mm512_castsi512_si256(m));
      acc[r] = _mm512_dpbusd_epi32(acc[r], ones, m);
    }
  }
  const __m512i repay = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), reduce_rows<Add>(acc)), unsigned(s.storage - 1));
  const __m512i magic = _mm512_or_si512(_mm512_add_epi32(exponent, _mm512_set1_epi32((23 - (s.mantissa - 2)) << 23)), _mm512_set1_epi32(0x400000));
  const __m512i start = _mm512_add_epi32(magic, repay);
  // Pairs {start, magic}: rows 0, 1 and 4, 5 in the low halves, 2 and 3 in the high half of lane 0.
  alignas(64) uint64_t lo[8], hi[8];
  _mm512_store_si512(lo, _mm512_unpacklo_epi32(start, magic));
  _mm512_store_si512(hi, _mm512_unpackhi_epi32(start, magic));
  const uint64_t pairs[6] = {lo[0], lo[1], hi[0], hi[1], lo[4], lo[5]};
  DSCONV_UNROLL
  for (int r = 0; r < 6; r++) {
    if (r < rows) __builtin_memcpy(p.records[r] + block, &pairs[r], 8);
  }
  return false;
}

template <int Vectors, bool Scale, int Residual>
void finish_first_blocks(FinishArgs& f) {
  for (int n = 0; n < f.blocks; n++) {
    if (f.rows->rows == 6) finish_first_block<Vectors, Scale, Residual, true>(f, n);
    else finish_first_block<Vectors, Scale, Residual, false>(f, n);
  }
}

template <int Vectors, bool Scale>
void finish_first_form(FinishArgs& f) {
  switch (f.spec->residual_kind) {
    case 0: return finish_first_blocks<Vectors, Scale, 0>(f);
    case 1: return finish_first_blocks<Vectors, Scale, 1>(f);
    default: return finish_first_blocks<Vectors, Scale, 2>(f);
  }
}

void finish_first__avx512vnni(FinishArgs& f) {
  switch (f.spec->block) {
    case 32: return f.spec->scale ? finish_first_form<2, true>(f) : finish_first_form<2, false>(f);
    case 64: return f.spec->scale ? finish_first_form<4, true>(f) : finish_first_form<4, false>(f);
    default: return f.spec->scale ? finish_first_form<8, true>(f) : finish_first_form<8, false>(f);
  }
}

template <int Vectors>
bool finish_second_blocks(FinishArgs& f) {
  bool huge = false;
  for (int n = 0; n < f.blocks; n++) huge |= f.rows->rows == 6 ? finish_second_block<Vectors, true>(f, n) : finish_second_block<Vectors, false>(f, n);
  return huge;
}

bool finish_second__avx512vnni(FinishArgs& f) {
  return f.spec->block == 32 ? finish_second_blocks<2>(f) : f.spec->block == 64 ? finish_second_blocks<4>(f) : finish_second_blocks<8>(f);
}

void decode__avx512vnni(const DecodeArgs& d) {
  for (int c0 = 0, j = 0; c0 < d.length; c0 += d.block, j++) {
    const int end = min_of(d.length, c0 + d.block);
    const __m512 scale = _mm512_set1_ps(scale_of(d.records[j], d.plain));
    int c = c0;
    for (; c + 16 <= end; c += 16) {
      const __m512i m = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(d.mantissas + c)));
      _mm512_storeu_ps(d.out + c, _mm512_mul_ps(_mm512_cvtepi32_ps(m), scale));
    }
    if (c < end) {
      const __mmask16 lanes = __mmask16((1 << (end - c)) - 1);
      const __m512i m = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, d.mantissas + c));
      _mm512_mask_storeu_ps(d.out + c, lanes, _mm512_mul_ps(_mm512_cvtepi32_ps(m), scale));
    }
  }
}

}  // namespace

const Kernels* kernels_avx512vnni() {
  static const Kernels set = [] {
    Kernels k = {
        "avx512vnni",
        {dsconv2d_6x32__avx512vnni<2>, dsconv2d_6x32__avx512vnni<4>, dsconv2d_6x32__avx512vnni<8>},
        epilogue__avx512vnni, quantize__avx512vnni, finish_first__avx512vnni, finish_second__avx512vnni, decode__avx512vnni,
        stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
    };
    if (__builtin_cpu_supports("avx512bf16")) use_avx512bf16(&k);
    return k;
  }();
  return &set;
}

}  // namespace dsconv
