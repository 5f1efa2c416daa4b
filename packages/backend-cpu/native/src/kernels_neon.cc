// NEON with the int8 dot product (Armv8.2 +dotprod). 32 registers: 6 rows by 16 channels are 24 accumulators, 4 hold the weights of a set.
//   2 and 4 bits: unsigned weights are at most 15, so the signed sdot takes them as they are.
//   8 bits: weights reach 255, and only udot takes that: activations become M + 128, and 128 times the sum of a channel's weights, the same for
//   all rows, is taken away again. Sums wrap at 32 bits on the way, as integers may; the result fits.
#include <arm_neon.h>

#include "kernels_vector.h"

namespace dsconv {
namespace {

#define DSCONV_INLINE inline __attribute__((always_inline))
#define DSCONV_UNROLL _Pragma("GCC unroll 8")

typedef uint32_t loose_dword __attribute__((aligned(1), may_alias));

// 4 activations in every lane.
DSCONV_INLINE uint8x16_t broadcast_dword(const int8_t* p) { return vreinterpretq_u8_u32(vdupq_n_u32(*reinterpret_cast<const loose_dword*>(p))); }

template <int Storage, int Set>
DSCONV_INLINE uint8x16_t unpack(uint8x16_t w) {
  if constexpr (Storage == 8) return w;
  else if constexpr (Set == 0) return vandq_u8(w, vdupq_n_u8((1 << Storage) - 1));
  else if constexpr (Set == 8 / Storage - 1) return vshrq_n_u8(w, Set * Storage);
  else return vandq_u8(vshrq_n_u8(w, Set * Storage), vdupq_n_u8((1 << Storage) - 1));
}

// Adds one set (4 depths of 16 channels) of one step.
template <int Storage, int Set, int Rows>
DSCONV_INLINE void add_sets(int32x4_t (&acc)[Rows][4], uint32x4_t (&weight_sums)[4], const uint8_t* w, const int8_t* const (&x)[Rows]) {
  if constexpr (Set < 8 / Storage) {
    uint8x16_t u[4];
    DSCONV_UNROLL
    for (int v = 0; v < 4; v++) u[v] = unpack<Storage, Set>(vld1q_u8(w + 16 * v));
    if constexpr (Storage == 8) {
      DSCONV_UNROLL
      for (int v = 0; v < 4; v++) weight_sums[v] = vdotq_u32(weight_sums[v], u[v], vdupq_n_u8(128));
    }
    DSCONV_UNROLL
    for (int r = 0; r < Rows; r++) {
      const uint8x16_t a = broadcast_dword(x[r] + 4 * Set);
      DSCONV_UNROLL
      for (int v = 0; v < 4; v++) {
        if constexpr (Storage == 8) acc[r][v] = vreinterpretq_s32_u32(vdotq_u32(vreinterpretq_u32_s32(acc[r][v]), u[v], veorq_u8(a, vdupq_n_u8(128))));
        else acc[r][v] = vdotq_s32(acc[r][v], vreinterpretq_s8_u8(u[v]), vreinterpretq_s8_u8(a));
      }
    }
    add_sets<Storage, Set + 1, Rows>(acc, weight_sums, w, x);
  }
}

// Rows by one vector of 16 channels. `vectors`: those of the tile, between whose steps this column's lie. Float sums live in `out`.
template <int Storage, int Rows>
DSCONV_INLINE void column(const TileArgs& a, int r0, const uint8_t* weights, const float* all_scales, size_t vectors, float* out) {
  DSCONV_UNROLL
  for (int r = 0; r < Rows; r++) for (int v = 0; v < 4; v++) vst1q_f32(out + r * a.ldo + 4 * v, vdupq_n_f32(0));
  for (int t = 0; t < a.tap_count; t++) {
    const TapRows& tap = a.taps[t];
    const uint8_t* w = weights + tap.tap * a.tap_weights * vectors;
    const float* scales = all_scales ? all_scales + tap.tap * a.tap_scales * vectors : nullptr;
    for (int64_t j = 0; j < a.blocks; j++) {
      const int8_t* x[Rows];
      int32x4_t acc[Rows][4];
      uint32x4_t weight_sums[4];
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        x[r] = tap.x[r0 + r] + j * a.block;
        for (int v = 0; v < 4; v++) acc[r][v] = vdupq_n_s32(tap.record[r0 + r][j].start);
      }
      for (int v = 0; v < 4; v++) weight_sums[v] = vdupq_n_u32(0);
      const int steps = j == a.blocks - 1 ? a.last_steps : a.steps;
      for (int step = 0; step < steps; step++, w += 64 * vectors) {
        add_sets<Storage, 0, Rows>(acc, weight_sums, w, x);
        DSCONV_UNROLL
        for (int r = 0; r < Rows; r++) x[r] += 32 / Storage;
      }
      DSCONV_UNROLL
      for (int r = 0; r < Rows; r++) {
        const float32x4_t magic = vreinterpretq_f32_u32(vdupq_n_u32(tap.record[r0 + r][j].magic));
        DSCONV_UNROLL
        for (int v = 0; v < 4; v++) {
          float* at = out + r * a.ldo + 4 * v;
          const int32x4_t sum = Storage == 8 ? vsubq_s32(acc[r][v], vreinterpretq_s32_u32(weight_sums[v])) : acc[r][v];
          float32x4_t p;
          if (a.plain) {
            // The filter's scale first: P times a huge activation scale alone could overflow.
            p = vcvtq_f32_s32(sum);
            if (scales) p = vmulq_f32(p, vld1q_f32(scales + 4 * v));
            vst1q_f32(at, vfmaq_f32(vld1q_f32(at), p, magic));
          } else {
            p = vsubq_f32(vreinterpretq_f32_s32(sum), magic);
            vst1q_f32(at, scales ? vfmaq_f32(vld1q_f32(at), p, vld1q_f32(scales + 4 * v)) : vaddq_f32(vld1q_f32(at), p));
          }
        }
      }
      if (scales) scales += 16 * vectors;
    }
  }
}

inline void add_shifts(const TileArgs& a, const float* all_shifts, size_t vectors, float* out) {
  for (int r = 0; r < a.count; r++) {
    for (int t = 0; t < a.tap_count; t++) {
      const float* totals = a.sums + (a.taps[t].record[r] - a.records);
      const float* shift = all_shifts + a.taps[t].tap * a.tap_scales * vectors;
      for (int j = 0; j < a.blocks; j++, shift += 16 * vectors) {
        for (int c = 0; c < 16; c++) out[r * a.ldo + c] += totals[j] * shift[c];
      }
    }
  }
}

template <int Storage>
void tile_neon(const TileArgs& a) {
  for (int v = 0; v < a.vectors; v++) {
    const int first = v & ~1;
    const size_t vectors = min_of(2, a.vectors - first), floats = first * a.vector_scales + 16 * (v - first);
    const uint8_t* w = a.weights + first * a.vector_weights + 64 * (v - first);
    const float* scales = a.scales ? a.scales + floats : nullptr;
    float* out = a.out + 16 * v;
    int r = 0;
    for (; r + 6 <= a.count; r += 6) column<Storage, 6>(a, r, w, scales, vectors, out + r * a.ldo);
    for (; r + 2 <= a.count; r += 2) column<Storage, 2>(a, r, w, scales, vectors, out + r * a.ldo);
    for (; r < a.count; r++) column<Storage, 1>(a, r, w, scales, vectors, out + r * a.ldo);
    if (a.shifts) add_shifts(a, a.shifts + floats, vectors, out);
  }
}

void dsconv2d_6x16_2__neon(const TileArgs& a) { tile_neon<2>(a); }
void dsconv2d_6x16_4__neon(const TileArgs& a) { tile_neon<4>(a); }
void dsconv2d_6x16_8__neon(const TileArgs& a) { tile_neon<8>(a); }

// ---- block floating point: 8 floats at a time --------------------------------------------------------------------------------

bool quantize_neon(const QuantizeArgs& q) {
  bool huge = false;
  const int limit = (1 << (q.mantissa - 1)) - 1, whole = q.length & ~7;
  const int32x4_t high = vdupq_n_s32(limit), low = vdupq_n_s32(-limit);
  for (int r = 0; r < q.rows; r++) {
    const float* x = q.source + r * q.ld;
    uint32x4_t best = vdupq_n_u32(0);
    for (int c = 0; c < whole; c += 4) best = vmaxq_u32(best, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + c))));
    uint32_t largest = vmaxvq_u32(best);
    for (int c = whole; c < q.length; c++) largest = max_of(largest, bits_of(x[c]) & 0x7FFFFFFFu);
    const uint32_t biased = largest >> 23;
    int32_t sum = 0;
    if (biased < kMinBiased || biased == 255) {
      std::memset(q.mantissas[r], 0, size_t(q.length));
    } else {
      const float inverse = float_of(((254 + q.mantissa - 2) << 23) - (biased << 23));
      int32x4_t total = vdupq_n_s32(0);
      for (int c = 0; c < whole; c += 8) {
        int32x4_t m[2];
        for (int v = 0; v < 2; v++) {
          m[v] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + c + 4 * v), inverse));  // half to even
          m[v] = vminq_s32(vmaxq_s32(m[v], low), high);
          total = vaddq_s32(total, m[v]);
        }
        vst1_s8(q.mantissas[r] + c, vmovn_s16(vcombine_s16(vmovn_s32(m[0]), vmovn_s32(m[1]))));
      }
      sum = vaddvq_s32(total);
      for (int c = whole; c < q.length; c++) {
        const int m = min_of(max_of(round_scalar(x[c] * inverse), -limit), limit);
        q.mantissas[r][c] = int8_t(m);
        sum += m;
      }
    }
    const BlockRecord record = record_of(largest, sum, q.mantissa, q.storage, q.plain, &huge);
    *q.records[r] = record;
    if (q.sums[r]) *q.sums[r] = scale_of(record, q.plain) * float(sum);
  }
  return huge;
}

void decode_neon(const DecodeArgs& d) {
  for (int c0 = 0, j = 0; c0 < d.length; c0 += d.block, j++) {
    const int end = min_of(d.length, c0 + d.block);
    const float scale = scale_of(d.records[j], d.plain);
    int c = c0;
    for (; c + 8 <= end; c += 8) {
      const int16x8_t m = vmovl_s8(vld1_s8(d.mantissas + c));
      vst1q_f32(d.out + c, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(m))), scale));
      vst1q_f32(d.out + c + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(m)), scale));
    }
    for (; c < end; c++) d.out[c] = float(d.mantissas[c]) * scale;
  }
}

void epilogue_neon(const EpilogueArgs& e) {
  if (e.activation > kRelu6) return epilogue_scalar(e);
  // fmax and fmin hand a NaN on.
  const float32x4_t lower = vdupq_n_f32(e.activation == kLinear ? -INFINITY : 0.0f), upper = vdupq_n_f32(e.activation == kRelu6 ? 6.0f : INFINITY);
  const int whole = e.channels & ~3;
  for (int r = 0; r < e.rows; r++) {
    float* row = e.tile + r * e.ld;
    for (int c = 0; c < whole; c += 4) {
      float32x4_t v = vld1q_f32(row + c);
      if (e.scale) v = vmulq_f32(v, vld1q_f32(e.scale + c));
      if (e.bias) v = vaddq_f32(v, vld1q_f32(e.bias + c));
      if (e.has_residual) v = vaddq_f32(v, vld1q_f32(e.residual[r] + c));
      vst1q_f32(row + c, vminq_f32(upper, vmaxq_f32(lower, v)));
    }
  }
  if (whole == e.channels) return;
  EpilogueArgs rest = e;
  rest.tile += whole;
  rest.channels -= whole;
  if (e.scale) rest.scale += whole;
  if (e.bias) rest.bias += whole;
  for (int r = 0; r < e.rows && e.has_residual; r++) rest.residual[r] += whole;
  epilogue_scalar(rest);
}

}  // namespace

const Kernels* kernels_neon() {
  static const Kernels set = {
      "neon",
      {dsconv2d_6x16_2__neon, dsconv2d_6x16_4__neon, dsconv2d_6x16_8__neon},
      epilogue_neon, quantize_neon, nullptr, nullptr, decode_neon,
      stem_tile_vector, nullptr, nullptr, depthwise_vector, float_tile_vector, outer_tile_vector, max_rows_vector, add_rows_vector,
  };
  return &set;
}

}  // namespace dsconv
