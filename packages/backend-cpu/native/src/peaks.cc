#include "peaks.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace dsconv {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Twelve chains hide the latency. The empty asm statements keep the compiler from knowing any value; REGISTER is its constraint for vectors.
#define DSCONV_PEAK(NAME, ATTRIBUTE, REGISTER, TYPE, OP, MACS)                                                                             \
  __attribute__((noinline)) ATTRIBUTE double NAME() {                                                                                      \
    constexpr long n = 400000;                                                                                                             \
    double best = 1e9;                                                                                                                     \
    for (int round = 0; round < 25; round++) {                                                                                             \
      TYPE a0{}, a1{}, a2{}, a3{}, a4{}, a5{}, a6{}, a7{}, a8{}, a9{}, aa{}, ab{}, w{}, x{};                                               \
      asm volatile("" : "+" REGISTER(a0), "+" REGISTER(a1), "+" REGISTER(a2), "+" REGISTER(a3), "+" REGISTER(a4), "+" REGISTER(a5));       \
      asm volatile("" : "+" REGISTER(a6), "+" REGISTER(a7), "+" REGISTER(a8), "+" REGISTER(a9), "+" REGISTER(aa), "+" REGISTER(ab));       \
      const double begin = now();                                                                                                          \
      for (long k = 0; k < n; k++) {                                                                                                       \
        asm volatile("" : "+" REGISTER(w), "+" REGISTER(x));                                                                               \
        a0 = OP(a0); a1 = OP(a1); a2 = OP(a2); a3 = OP(a3); a4 = OP(a4); a5 = OP(a5);                                                      \
        a6 = OP(a6); a7 = OP(a7); a8 = OP(a8); a9 = OP(a9); aa = OP(aa); ab = OP(ab);                                                      \
      }                                                                                                                                    \
      best = std::min(best, now() - begin);                                                                                                \
      asm volatile("" ::REGISTER(a0), REGISTER(a1), REGISTER(a2), REGISTER(a3), REGISTER(a4), REGISTER(a5));                               \
      asm volatile("" ::REGISTER(a6), REGISTER(a7), REGISTER(a8), REGISTER(a9), REGISTER(aa), REGISTER(ab));                               \
    }                                                                                                                                      \
    return n * 12.0 * MACS / best / 1e9;                                                                                                   \
  }

typedef float float4 __attribute__((vector_size(16)));
typedef int int4 __attribute__((vector_size(16)));
// Products made apart from the sum: each has to believe in factors of its own, or one would serve all chains.
#define DSCONV_FRESH(REGISTER, EXPRESSION) ({ asm volatile("" : "+" REGISTER(w)); EXPRESSION; })

#if defined(__x86_64__) || defined(_M_X64)
#define DSCONV_DOT512(a) _mm512_dpbusd_epi32(a, w, x)
#define DSCONV_FMA512(a) _mm512_fmadd_ps(w, x, a)
#define DSCONV_DOT256(a) _mm256_dpbusd_avx_epi32(a, w, x)
#define DSCONV_PAIRS256(a) DSCONV_FRESH("x", _mm256_add_epi16(a, _mm256_maddubs_epi16(w, x)))
#define DSCONV_PLAIN(a) DSCONV_FRESH("x", a + w * x)
#define DSCONV_FMA256(a) _mm256_fmadd_ps(w, x, a)
DSCONV_PEAK(dot_avx512vnni, __attribute__((target("avx512f,avx512vnni"))), "v", __m512i, DSCONV_DOT512, 64)
DSCONV_PEAK(fma_avx512vnni, __attribute__((target("avx512f"))), "v", __m512, DSCONV_FMA512, 16)
DSCONV_PEAK(dot_avxvnni, __attribute__((target("avx2,avxvnni"))), "x", __m256i, DSCONV_DOT256, 32)
DSCONV_PEAK(dot_avx2, __attribute__((target("avx2"))), "x", __m256i, DSCONV_PAIRS256, 32)
DSCONV_PEAK(fma_avx2, __attribute__((target("avx2,fma"))), "x", __m256, DSCONV_FMA256, 8)
DSCONV_PEAK(dot_portable, , "x", int4, DSCONV_PLAIN, 4)
DSCONV_PEAK(fma_portable, , "x", float4, DSCONV_PLAIN, 4)
#elif defined(__aarch64__)
#if !defined(__clang__)
#define DSCONV_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#else
#define DSCONV_DOTPROD __attribute__((target("dotprod")))
#endif
#define DSCONV_SDOT(a) vdotq_s32(a, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x))
#define DSCONV_FMLA(a) vfmaq_f32(a, w, x)
#define DSCONV_PLAIN(a) DSCONV_FRESH("w", a + w * x)
DSCONV_PEAK(dot_neon, DSCONV_DOTPROD, "w", int32x4_t, DSCONV_SDOT, 16)
DSCONV_PEAK(fma_neon, , "w", float32x4_t, DSCONV_FMLA, 4)
DSCONV_PEAK(dot_portable, , "w", int4, DSCONV_PLAIN, 4)
DSCONV_PEAK(fma_portable, , "w", float4, DSCONV_PLAIN, 4)
#else
#define DSCONV_PLAIN(a) DSCONV_FRESH("m", a + w * x)
DSCONV_PEAK(dot_portable, , "m", int4, DSCONV_PLAIN, 4)
DSCONV_PEAK(fma_portable, , "m", float4, DSCONV_PLAIN, 4)
#endif

struct Entry {
  const char* isa;
  double (*dot)();
  double (*fma)();
};

constexpr Entry kEntries[] = {
#if defined(__x86_64__) || defined(_M_X64)
    {"avx512vnni", dot_avx512vnni, fma_avx512vnni},
    {"avxvnni", dot_avxvnni, fma_avx2},
    {"avx2", dot_avx2, fma_avx2},
#elif defined(__aarch64__)
    {"neon", dot_neon, fma_neon},
#endif
    {"portable", dot_portable, fma_portable},
};

}  // namespace

Peaks measure_peaks(const char* isa) {
  for (const Entry& e : kEntries) {
    if (!std::strcmp(e.isa, isa)) return {e.dot(), e.fma()};
  }
  return {0, 0};
}

}  // namespace dsconv
